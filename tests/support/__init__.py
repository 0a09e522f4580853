"""What several test modules share: a test PKI, a CMS writer, the vectors, and refusals."""
