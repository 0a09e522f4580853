"""Unmodified clients at Azure's own address; run in a network namespace of its own, as root there.

Prints one JSON object: what each client read.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys

from attest.imds import ImdsClient
from attest.testing.imds import FakeImds
from tests.testing.imds import page


def _ip(*words: str) -> None:
    program = shutil.which("ip") or "/usr/sbin/ip"
    subprocess.run([program, *words], check=True)


def _found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def main() -> None:
    """Bring up loopback, serve, and ask."""
    _ip("addr", "add", "169.254.169.254/32", "dev", "lo")
    _ip("link", "set", "lo", "up")
    seen: dict[str, object] = {}
    with FakeImds(address=("169.254.169.254", 80)):
        seen["attest"] = ImdsClient().attested_document("1234567890")["encoding"]
        if shutil.which("curl"):
            lines = page.curl_lines()
            for line in lines:
                # The page's one sample of an error has no api-version.
                expected = 0 if "api-version" in line else 22
                command = ["sh", "-c", f"{line} -sS -f -o /dev/null"]
                done = subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
                assert done.returncode == expected, line
            seen["curl"] = len(lines)
        if _found("opentelemetry.resource.detector.azure"):
            from opentelemetry.resource.detector.azure.vm import (  # noqa: PLC0415
                AzureVMResourceDetector,
            )

            attributes = AzureVMResourceDetector().detect().attributes
            seen["opentelemetry"] = attributes["host.id"]
        if _found("azure.identity"):
            from azure.identity import ManagedIdentityCredential  # noqa: PLC0415

            token = ManagedIdentityCredential().get_token("https://vault.azure.net/.default")
            seen["azure-identity"] = token.token.count(".")
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
