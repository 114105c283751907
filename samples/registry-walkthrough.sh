#!/bin/bash
# A site's registry from nothing to garbage collection, on this machine and in one temporary directory:
#
#   samples/registry-walkthrough.sh [PORT [OTHER-PORT]]        (5000 and 5001 unless given)
#
# Everything is done by bundler; docker-registry is what it is done to, htpasswd and openssl make its users and its
# certificate. Every step checks what it says, and the script ends with status 0 only if all of it was so.
# BUNDLER may name the program to use.
set -euo pipefail
bundler=${BUNDLER:-bundler}
plain=127.0.0.1:${1:-5000} secure=127.0.0.1:${2:-5001}
work=$(mktemp -d "${TMPDIR:-/tmp}/walkthrough.XXXXXX")
export HOME=$work # no credentials and no cache of the user's own
unset REGISTRY_AUTH_FILE DOCKER_CONFIG XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME
cd "$work"
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*" >&2 && "$@"; }
holds() { grep -F -- "$1" >/dev/null || { echo "not said: $1" >&2 && return 1; }; } # TEXT, in standard input
refused() {                                                                        # PATTERN COMMAND…
  local pattern=$1 said
  shift
  if said=$(run "$@" 2>&1); then echo "not refused: $*" >&2 && return 1; fi
  sed 's/^/  /' <<<"$said"
  grep -Ei -- "$pattern" <<<"$said" >/dev/null || { echo "refused, but not with $pattern" >&2 && return 1; }
}
absent() { ! grep -F -- "$1" >/dev/null || { echo "still there: $1" >&2 && return 1; }; } # TEXT, in standard input
size() { du -s --block-size=1000 "$1" | cut -f1; }                                      # DIRECTORY, in kB

# Images by hand: a layer that all share, one of its own, a config, a manifest; in the OCI layout "images".
blob() { # prints the digest of standard input, and keeps it
  cat >new
  local digest
  digest=$(sha256sum new | cut -d' ' -f1)
  mv new "images/blobs/sha256/$digest"
  echo "$digest"
}
descriptor() { # MEDIA-TYPE DIGEST
  printf '"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d' "$1" "$2" "$(stat -c %s "images/blobs/sha256/$2")"
}
layer() { # FILE of root/: its layer in layers/FILE, as the image's diff_id and as a descriptor
  tar -C root -cf layer.tar "$1"
  mkdir -p layers
  echo "sha256:$(sha256sum layer.tar | cut -d' ' -f1)" >"layers/$1.diff"
  descriptor layer.v1.tar+gzip "$(gzip -nc layer.tar | blob)" >"layers/$1"
}
image() { # NAME
  local config manifest
  mkdir -p images/blobs/sha256 root
  [ -e root/base ] || { head -c 400000 /dev/urandom >root/base && layer base; }
  head -c 800000 /dev/urandom >"root/$1" && layer "$1"
  config=$(printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s","%s"]}}' \
    "$(cat layers/base.diff)" "$(cat "layers/$1.diff")" | blob)
  manifest=$(printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{%s},"layers":[{%s},{%s}]}' \
    "$(descriptor config.v1+json "$config")" "$(cat layers/base)" "$(cat "layers/$1")" | blob)
  [ ! -e entries ] || printf ',' >>entries
  printf '{%s,"annotations":{"org.opencontainers.image.ref.name":"%s"}}' "$(descriptor manifest.v1+json "$manifest")" "$1" >>entries
  printf '{"schemaVersion":2,"manifests":[%s]}' "$(cat entries)" >images/index.json
  echo '{"imageLayoutVersion":"1.0.0"}' >images/oci-layout
}
digest_of() { grep -Eo 'sha256:[0-9a-f]{64}' "layers/$1"; } # FILE

# A registry: its configuration is NAME.yml, its storage NAME/, its log NAME.log.
configure() { # NAME ADDRESS DELETION [MORE-HTTP [MORE]]
  cat >"$1.yml" <<EOF
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $work/$1}
  delete: {enabled: $3}
http:
  addr: $2
  secret: only-for-this-walk-through
${4:-}
${5:-}
EOF
}
serve() { # NAME ADDRESS
  docker-registry serve "$1.yml" >>"$1.log" 2>&1 &
  echo $! >"$1.pid"
  for _ in {1..200}; do
    kill -0 "$(cat "$1.pid")" 2>/dev/null || break
    (: <>"/dev/tcp/${2%:*}/${2#*:}") 2>/dev/null && return
    sleep 0.05
  done
  cat "$1.log" >&2
  return 1
}
stop() { kill "$(cat "$1.pid")" && wait "$(cat "$1.pid")" || true; } # NAME

step "1. A plain registry, and images in it: from an OCI layout, and by way of a directory"
for name in app-1.0 app-1.1 app-2.0 tool-1.0; do image $name; done
configure plain "$plain" false
serve plain "$plain"
for version in 1.0 1.1; do
  run "$bundler" copy --dest-tls-verify=false oci:images:app-$version "docker://$plain/team/app:$version"
done
run "$bundler" copy oci:images:app-2.0 dir:app-2.0
run "$bundler" copy --dest-tls-verify=false dir:app-2.0 "docker://$plain/team/app:2.0"
run "$bundler" copy --dest-tls-verify=false oci:images:tool-1.0 "docker://$plain/team/tool:1.0"

step "2. Look at them"
run "$bundler" inspect --tls-verify=false "docker://$plain/team/app:2.0" | tee said
holds "$(digest_of base)" <said # the bytes are the layout's, whichever way they came
digest=$(run "$bundler" inspect --tls-verify=false --format '{{.Digest}}' "docker://$plain/team/app:2.0")
[ "$digest" = "sha256:$(sha256sum app-2.0/manifest.json | cut -d' ' -f1)" ]
run "$bundler" list-tags --tls-verify=false "docker://$plain/team/app" | tee said
for version in 1.0 1.1 2.0; do holds "\"$version\"" <said; done

step "3. A registry deletes nothing unless it is told to"
refused "405" "$bundler" delete --tls-verify=false "docker://$plain/team/app:2.0"
run "$bundler" inspect --tls-verify=false "docker://$plain/team/app:2.0" >said # it is still there

step "4. With deletion enabled in its configuration it does"
stop plain
configure plain "$plain" true
grep delete plain.yml
serve plain "$plain"
run "$bundler" delete --tls-verify=false "docker://$plain/team/app:2.0"
refused "unknown" "$bundler" inspect --tls-verify=false "docker://$plain/team/app:2.0"
run "$bundler" list-tags --tls-verify=false "docker://$plain/team/app" | tee said
absent '"2.0"' <said
holds '"1.1"' <said

step "5. A registry with users and TLS, whose certificate an authority of the site has signed"
mkdir trust
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=The site's authority" -keyout authority.key -out trust/ca.crt 2>openssl.log
openssl req -newkey rsa:2048 -nodes -subj "/CN=registry" -keyout server.key -out server.csr 2>>openssl.log
openssl x509 -req -in server.csr -CA trust/ca.crt -CAkey authority.key -CAcreateserial -days 2 \
  -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") -out server.crt 2>>openssl.log
htpasswd -Bbn ann "not-very-secret" >users
configure secure "$secure" true "  tls: {certificate: $work/server.crt, key: $work/server.key}" \
  "auth: {htpasswd: {realm: site, path: $work/users}}"
serve secure "$secure"
there=(--dest-cert-dir trust --dest-authfile auth.json) here=(--cert-dir trust --authfile auth.json)
echo '{"auths":{}}' >auth.json
refused "certificate" "$bundler" inspect "docker://$secure/team/app:1.0"
refused "unauthorized|authentication|password|401" "$bundler" copy "${there[@]}" oci:images:app-1.0 "docker://$secure/team/app:1.0"
refused "unauthorized|invalid|password|401" "$bundler" login "${here[@]}" --username ann --password guessed "$secure"
echo not-very-secret | run "$bundler" login "${here[@]}" --username ann --password-stdin "$secure"
[ "$(run "$bundler" login --authfile auth.json --get-login "$secure")" = ann ]
run "$bundler" copy "${there[@]}" oci:images:app-1.0 "docker://$secure/team/app:1.0"
run "$bundler" inspect "${here[@]}" "docker://$secure/team/app:1.0" >said
run "$bundler" delete "${here[@]}" "docker://$secure/team/app:1.0"
refused "unknown" "$bundler" inspect "${here[@]}" "docker://$secure/team/app:1.0"
run "$bundler" logout --authfile auth.json "$secure"
absent "$secure" <auth.json
refused "unauthorized|authentication|password|401" "$bundler" list-tags "${here[@]}" "docker://$secure/team/app"

step "6. Keep one registry like a list: whole names, tags by regular expression, a rehearsal first"
cat >sync.yaml <<EOF
$plain:
  tls-verify: false
  images:
    team/tool: ["1.0"]
  images-by-tag-regex:
    team/app: ^1\.\d+$
EOF
echo not-very-secret | run "$bundler" login "${here[@]}" --username ann --password-stdin "$secure"
sync=(sync --src yaml --dest docker --scoped "${there[@]}" sync.yaml "$secure/mirror")
mirror=$secure/mirror/${plain/:/-}/team # a path has no room for a port's colon
run "$bundler" "${sync[@]:0:1}" --dry-run "${sync[@]:1}" 2>&1 | tee said
for image in app:1.0 app:1.1 tool:1.0; do holds "team/$image" <said; done
refused "unknown" "$bundler" list-tags "${here[@]}" "docker://$mirror/app" # nothing was written
run "$bundler" "${sync[@]}"
run "$bundler" list-tags "${here[@]}" "docker://$mirror/app" | tee said
holds '"1.0"' <said
holds '"1.1"' <said
for image in app:1.0 app:1.1 tool:1.0; do
  [ "$("$bundler" inspect "${here[@]}" --format '{{.Digest}}' "docker://$mirror/$image")" = \
    "$("$bundler" inspect --tls-verify=false --format '{{.Digest}}' "docker://$plain/team/$image")" ]
done
run "$bundler" "${sync[@]}" 2>&1 | tee said # again: there is nothing to do
holds "0 images copied" <said

step "7. What is deleted takes its space until the garbage is collected, with the registry stopped"
run "$bundler" delete "${here[@]}" "docker://$mirror/app:1.1"
full=$(size secure)
stop secure
run docker-registry garbage-collect --dry-run secure.yml >said 2>&1
holds "blob eligible for deletion: $(digest_of app-1.1)" <said
absent "eligible for deletion: $(digest_of base)" <said # the other images still need it
[ "$(size secure)" -eq "$full" ]
run docker-registry garbage-collect secure.yml >said 2>&1
left=$(size secure)
echo "$full kB before, $left kB now"
[ $((full - left)) -ge 800 ]
serve secure "$secure"
run "$bundler" copy --src-cert-dir trust --src-authfile auth.json "docker://$mirror/app:1.0" dir:kept # whole
refused "unknown" "$bundler" inspect "${here[@]}" "docker://$mirror/app:1.1"
run "$bundler" "${sync[@]}" # and the list brings it back
run "$bundler" inspect "${here[@]}" "docker://$mirror/app:1.1" >said

step "All of this was so."
