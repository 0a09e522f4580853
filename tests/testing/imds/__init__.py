"""Tests of the fake metadata endpoint."""
