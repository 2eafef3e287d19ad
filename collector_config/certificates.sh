#!/bin/sh
# Makes certificates/ beside this file: an authority of one's own, and a certificate each for agents and gateways.
# For trying it out. In production an authority that renews them should (they are read anew every hour).
set -eu
cd "$(dirname "$0")"
mkdir -p certificates
cd certificates
umask 077
[ -f ca.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=spanflow-collectors \
    -keyout ca-key.pem -out ca.pem 2>/dev/null
make() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1-key.pem" -out "$1.csr" 2>/dev/null
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$2" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 365 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm "$1.csr" "$1.ext"
}
make gateway "DNS:gateways,DNS:localhost,IP:127.0.0.1"
make agent "DNS:agent"
# The containers run as another user.
chmod 755 . && chmod 644 ./*.pem
