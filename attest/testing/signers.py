"""What signer certificates look like: as Azure's do, or wrong on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from attest.testing.keys import Digest, PublicKey
from attest.testing.pki import (
    ORGANIZATION_VALIDATED,
    SERVER_AUTH,
    Extensions,
    Urls,
    Validity,
    certificate_policies,
    key_usage,
    name,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerOptions:
    """How a signer certificate differs from a real one; the defaults do not.

    Attributes:
        validity: its dates; by default 180 days, of which 30 have passed.
        usages: extendedKeyUsage; empty leaves the extension out, ``None`` is the shape's own.
        digital_signature: keyUsage holds digitalSignature.
        ca: basicConstraints and keyUsage are a CA's.
        digest: the digest that its issuer signs it with.
        extensions: further extensions, each with whether it is critical.
        public_key: the key to certify where the holder of another one signs.
        serial_number: its serial number; by default a random one of 20 octets.
    """

    validity: Validity | None = None
    usages: Sequence[ObjectIdentifier] | None = None
    digital_signature: bool = True
    ca: bool = False
    digest: Digest | None = None
    extensions: Extensions = ()
    public_key: PublicKey | None = None
    serial_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerStyle:
    """How the signer certificates of a hierarchy look.

    Attributes:
        organization: the subject has C, ST, L and O; otherwise it is a common name alone.
        usages: extendedKeyUsage.
        data_encipherment: keyUsage holds dataEncipherment, too.
        key_encipherment: keyUsage holds keyEncipherment, as every RSA signer's does.
        basic_constraints: there is a basicConstraints extension.
        policies: certificatePolicies.
    """

    organization: bool = True
    usages: tuple[ObjectIdentifier, ...] = (SERVER_AUTH,)
    key_encipherment: bool = True
    data_encipherment: bool = False
    basic_constraints: bool = True
    policies: tuple[str, ...] = (ORGANIZATION_VALIDATED, "1.3.6.1.4.1.311.76.509.1.1")

    def subject(self, common_name: str) -> x509.Name:
        """Make the subject name."""
        if not self.organization:
            return name(CN=common_name)
        return name(C="US", ST="WA", L="Redmond", O="Microsoft Corporation", CN=common_name)

    def extensions(
        self, names: Sequence[str], urls: Urls, options: SignerOptions
    ) -> list[tuple[x509.ExtensionType, bool]]:
        """Make every extension but the key identifiers, each with whether it is critical.

        Args:
            names: the dNSNames; where there are none, there is no subjectAltName.
            urls: the issuer's addresses.
            options: how the certificate differs from a real one.
        """
        usages = self.usages if options.usages is None else options.usages
        usage = key_usage(
            ca=options.ca,
            digital_signature=options.digital_signature,
            key_encipherment=self.key_encipherment,
            data_encipherment=self.data_encipherment,
        )
        found = [*urls.extensions(), (usage, True)]
        if names:
            found.append((x509.SubjectAlternativeName(list(map(x509.DNSName, names))), False))
        if self.basic_constraints or options.ca:
            found.append((x509.BasicConstraints(ca=options.ca, path_length=None), True))
        found.append((certificate_policies(*self.policies), False))
        if usages:
            found.append((x509.ExtendedKeyUsage(usages), False))
        return [*found, *options.extensions]
