#!/bin/sh
# Signs with an ECDSA P-256 key that never leaves its token: an HSM, a smart card, or SoftHSM2 to try it.
#
#   pkcs11.sh setup TOKEN ID >release.pub     make a key pair in the token, print the public key
#   pkcs11.sh sign TOKEN ID                   sign what comes in, print the signature
#
#   bundler build bundle.yaml -o edge-000001 \
#       --sign-command './pkcs11.sh sign release-token 01' --sign-command-key release.pub
#
# TOKEN is the token's label. ID is the key's number there, in hexadecimal: pkcs11-tool looks at nothing else when it signs.
# PKCS11_MODULE is the token's library. PKCS11_PIN is its PIN; without it, pkcs11-tool asks on the terminal.
set -eu
umask 077

: "${PKCS11_MODULE:=/usr/lib/softhsm/libsofthsm2.so}"
what=${1:?"setup or sign"}
token=${2:?"the token's label"}
id=${3:?"the key's id"}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tool() {
    if [ -n "${PKCS11_PIN:-}" ]; then
        set -- --pin env:PKCS11_PIN "$@"
    fi
    # What it says goes to the terminal: standard output is for the signature alone.
    pkcs11-tool --module "$PKCS11_MODULE" --token-label "$token" --login "$@" >&2
}

case $what in
setup)
    tool --keypairgen --key-type EC:prime256v1 --usage-sign --id "$id" --label release
    tool --read-object --type pubkey --id "$id" --output-file "$work/key.der"
    openssl pkey -pubin -inform DER -in "$work/key.der"
    ;;
sign)
    # Hashed here, because not every token hashes by itself; BUNDLER_SIGN_FOR says what the bytes belong to.
    openssl dgst -sha256 -binary >"$work/digest"
    tool --sign --mechanism ECDSA --id "$id" --input-file "$work/digest" --output-file "$work/signature"
    cat "$work/signature"
    ;;
*)
    echo "pkcs11.sh: setup or sign, not $what" >&2
    exit 2
    ;;
esac
