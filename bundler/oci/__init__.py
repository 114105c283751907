"""The nouns of the OCI specifications: digest, descriptor, media type, manifest, reference, platform, strict JSON.

Everything here is pure: text and bytes in, frozen values out. Specifications followed: image-spec 1.1 and
distribution-spec 1.1; for Docker images, "Image Manifest Version 2, Schema 2".
"""
