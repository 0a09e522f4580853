"""Tests of attest.cms."""
