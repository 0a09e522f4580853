"""The test suite: a module per source module, and one each for what crosses them."""
