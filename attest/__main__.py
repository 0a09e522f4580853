"""``python -m attest`` is the ``attest`` command."""

from attest.cli import main

main()
