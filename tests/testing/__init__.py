"""Tests of the fake authority, its mutations and the pytest plugin."""
