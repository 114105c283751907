"""Who signed an image: pure verifiers over bytes that are attached to it, and the requirements they are held against.

Nothing here raises on a bad attachment of an outsider: what was wrong with it is told beside the good ones (:class:`Found`).

    requirement  what an image must have           evidence     what is attached, and what was found of it
    cosign       signatures by key                 sigstore     signatures by certificate, verified offline
    attestation  statements about an image         simple       GPG simple signatures
    identity     which name a signature may give   judge        a requirement held against the evidence
    envelope     DSSE envelopes and v0.3 bundles    annotated    the same of certificates, as cosign 2 keeps them
"""
