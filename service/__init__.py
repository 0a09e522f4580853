"""The HTTP verification service on top of :mod:`attest`."""
