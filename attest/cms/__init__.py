"""CMS SignedData (RFC 5652): decode it, pick the signer certificate, verify the signature."""

from attest.cms.signature import VerificationKey, verify_signature
from attest.cms.signed_data import (
    MAX_CERTIFICATE_SIZE,
    MAX_CERTIFICATES,
    Sid,
    SignedData,
    parse_signed_data,
    select_signer,
)

__all__ = [
    "MAX_CERTIFICATES",
    "MAX_CERTIFICATE_SIZE",
    "Sid",
    "SignedData",
    "VerificationKey",
    "parse_signed_data",
    "select_signer",
    "verify_signature",
]
