"""The pinned CA certificates, as data; :meth:`attest.TrustStore.bundled` loads them."""
