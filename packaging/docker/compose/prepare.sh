#!/bin/bash
# Makes passwords, an authority and certificates for the services of compose.yaml, once, each where its one service
# reads it. The authority's key is thrown away: nothing can be added to it.
set -euo pipefail
secrets=${SECRETS:-/secrets}
if [ -e "$secrets/assent/done" ]; then exit 0; fi
rm -rf "${secrets:?}"/{assent,store,shop}/*
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=assent-compose -keyout ca.key -out ca.crt \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
# certificate SERVICE UID NAMES
certificate() {
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout tls.key -out tls.csr 2>/dev/null
  printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n' "$3" >ext
  openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile ext -out tls.crt 2>/dev/null
  install -o "$2" -g "$2" -m 0600 tls.key "$secrets/$1/tls.key"
  install -o "$2" -g "$2" -m 0644 tls.crt ca.crt "$secrets/$1/"
  chown "$2:$2" "$secrets/$1"
  chmod 0700 "$secrets/$1"
}
certificate assent 65532 DNS:localhost,DNS:assent,IP:127.0.0.1
certificate store 999 DNS:store
certificate shop 999 DNS:shop
for service in store shop; do
  head -c 32 /dev/urandom | base64 | tr -d '/+=\n' >password
  install -o 999 -g 999 -m 0600 password "$secrets/$service/password"
  install -o 65532 -g 65532 -m 0600 password "$secrets/assent/$service.password"
  printf 'local all all trust\nhostssl all all all scram-sha-256\n' >pg_hba.conf
  install -o 999 -g 999 -m 0600 pg_hba.conf "$secrets/$service/pg_hba.conf"
done
touch "$secrets/assent/done"
