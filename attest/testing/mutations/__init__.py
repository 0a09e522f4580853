"""A catalogue of named faults, each with the code with which a verifier must refuse it.

Run it whole against your own check, or serve one with the emulator's ``--fault NAME``::

    @pytest.mark.parametrize("mutation", FORGERIES, ids=str)
    def test_refused(mutation, fake_authority):
        case = mutation.apply(fake_authority)
        assert not my_licence_check(case.evidence)
"""

from attest.testing.mutations import certificates, documents, encoding, paths, signatures
from attest.testing.mutations.case import MutatedEvidence, Mutation

__all__ = ["FORGERIES", "MUTATIONS", "MutatedEvidence", "Mutation"]

# In the order of the steps that refuse them, more or less.
MUTATIONS: tuple[Mutation, ...] = (
    *encoding.CATALOGUE.mutations,
    *certificates.CATALOGUE.mutations,
    *signatures.CATALOGUE.mutations,
    *documents.CATALOGUE.mutations,
    *paths.CATALOGUE.mutations,
)
# Those that every verifier must refuse, whatever its policy and without nonce or CRLs.
FORGERIES: tuple[Mutation, ...] = tuple(item for item in MUTATIONS if not item.demands)
