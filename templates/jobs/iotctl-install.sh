#!/bin/sh
# iotctl-install.sh: install a signed release on a device with AWS IoT Device Client.
#
# Put it into the handler directory (~/.aws-iot-device-client/jobs, mode 0700). Jobs whose document comes from the
# template `device-client` call it with the user (it is not used), the manifest and its signature (Base64), and a URL.
# Nothing of the manifest is believed before its signature is verified; nothing is installed that is not signed, fresh,
# for this device, and not older than what is there.
#
# /etc/iotctl/trusted_keys.json  the keys that it believes, as `iotctl ota keygen` writes them
# /etc/iotctl/device             what this device is: thingName=… thingType=… thingGroups=a,b (one a line)
# /etc/iotctl/installed          runs after the switch, if it is there: artifact, release, path; if it fails, back it goes
# /var/lib/iotctl/ARTIFACT/current/artifact   what is installed
#
# Device Client writes these arguments into its log, the presigned URL with them: keep that log as private as the URL,
# which is good for as long as `ota create --url-time` says.
#
# It needs sh, awk, sed, openssl (1.1.1 or newer; 3 for Ed25519), and curl or wget.
# On failure the first word on stderr is the reason: Device Client reports it in the status details of the execution.

set -u -f
umask 022
LC_ALL=C
export LC_ALL
config=${IOTCTL_CONFIG:-/etc/iotctl}
state=${IOTCTL_STATE:-/var/lib/iotctl}

refuse() {
    printf '%s: %s\n' "$1" "$2" >&2
    exit 1
}

[ $# -eq 4 ] || refuse MALFORMED "it needs four arguments: user, manifest, signature, URL"
url=$4
work=$(mktemp -d) || refuse DISK "no temporary directory"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

printf '%s' "$2" | openssl base64 -d -A >"$work/manifest" 2>/dev/null || refuse MALFORMED "the manifest is not Base64"
printf '%s' "$3" | openssl base64 -d -A >"$work/signature" 2>/dev/null || refuse MALFORMED "the signature is not Base64"
size_of() { wc -c <"$1" | tr -d ' '; }
[ "$(size_of "$work/manifest")" -gt 0 ] && [ "$(size_of "$work/manifest")" -le 16384 ] ||
    refuse MALFORMED "the manifest has a size that it cannot have"

# One member of the manifest, which is canonical JSON: no white space, and no quotes within its texts.
member() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" "$work/manifest"; }
number() { sed -n "s/.*\"$1\":\([0-9][0-9]*\)[,}].*/\1/p" "$work/manifest"; }
list() { sed -n "s/.*\"$1\":\[\([^]]*\)\].*/\1/p" "$work/manifest" | tr -d '"' | tr ',' '\n'; }

# The key that it names, out of the trust store: its PEM, whether it was revoked, until when it is good.
key=$(member keyId)
case $key in *[!0-9a-f]* | '') refuse MALFORMED "the manifest names no key" ;; esac
[ -r "$config/trusted_keys.json" ] || refuse UNKNOWN_KEY "there is no $config/trusted_keys.json"
awk -v key="$key" '
    /"keyId":/ { mine = index($0, "\"" key "\"") > 0 }
    mine && /"(publicKey|revoked|notAfter)":/ {
        name = $1; gsub(/[":]/, "", name)
        sub(/^[^:]*: */, ""); sub(/,? *$/, ""); gsub(/"/, "")
        print name "=" $0
    }' "$config/trusted_keys.json" >"$work/key"
of_key() { sed -n "s/^$1=//p" "$work/key"; }
[ -n "$(of_key publicKey)" ] || refuse UNKNOWN_KEY "this device does not know the key $key"
printf '%b' "$(of_key publicKey)" >"$work/key.pem"
[ "$(openssl pkey -pubin -in "$work/key.pem" -outform DER 2>/dev/null | openssl dgst -sha256 -r | cut -c1-16)" = "$key" ] ||
    refuse UNKNOWN_KEY "the trust store has another key under the id $key"
[ "$(of_key revoked)" = false ] || refuse KEY_REVOKED "the key $key has been revoked"

if openssl pkey -pubin -in "$work/key.pem" -noout -text | grep -q -i ed25519; then
    openssl pkeyutl -verify -pubin -inkey "$work/key.pem" -rawin -in "$work/manifest" -sigfile "$work/signature"
else
    openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/signature" "$work/manifest"
fi >/dev/null 2>&1 || refuse BAD_SIGNATURE "this is not what the key $key signed"

# From here on the manifest is believed.
[ "$(number v)" = 1 ] || refuse MALFORMED "the manifest is of another version"
artifact=$(member artifact) release=$(member release) sha256=$(member sha256) size=$(number size)
expires=$(member expires) least=$(member least)
case $artifact in .* | *[!A-Za-z0-9._-]* | '') refuse MALFORMED "the name of the artifact cannot be used" ;; esac
case $sha256 in *[!0-9a-f]* | '') refuse MALFORMED "the manifest names no digest" ;; esac

now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
before() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort | head -n 1)" = "$1" ]; }
until_=$(of_key notAfter)
[ -z "$until_" ] || before "$now" "$until_" || refuse KEY_EXPIRED "the key $key was good until $until_"
before "$now" "$expires" || refuse EXPIRED "$artifact $release could be installed until $expires"

# Whether it is for this device: each list that is there must name it.
mine() { sed -n "s/^$1=//p" "$config/device" 2>/dev/null | head -n 1; }
named=no
for name in $(list thingNames); do
    case $name in
        *'*') case $(mine thingName) in "${name%?}"*) named=yes ;; esac ;;
        *) [ "$name" = "$(mine thingName)" ] && named=yes ;;
    esac
done
among() { list "$1" | grep -q -x -F -e "$2"; }
in_groups=no
for group in $(mine thingGroups | tr ',' ' '); do
    among thingGroups "$group" && in_groups=yes
done
[ -z "$(list thingNames)" ] || [ $named = yes ] || refuse WRONG_TARGET "$artifact $release is not for this device"
[ -z "$(list thingTypes)" ] || among thingTypes "$(mine thingType)" ||
    refuse WRONG_TARGET "$artifact $release is not for things of this type"
[ -z "$(list thingGroups)" ] || [ $in_groups = yes ] || refuse WRONG_TARGET "$artifact $release is not for the groups of this device"
[ -n "$(list thingNames)$(list thingTypes)$(list thingGroups)" ] || refuse MALFORMED "the manifest names no targets"

# The order of two releases by Semantic Versioning: -1, 0 or 1.
compare() {
    awk -v one="$1" -v other="$2" '
    function sign(a, b) { return a < b ? -1 : a > b ? 1 : 0 }
    function parts(text, before,   at) {
        sub(/\+.*/, "", text)
        at = index(text, "-")
        before[0] = at ? substr(text, at + 1) : ""
        return at ? substr(text, 1, at - 1) : text
    }
    function word(a, b,   x, y) {
        x = a ~ /^[0-9]+$/; y = b ~ /^[0-9]+$/
        if (x && y) return sign(a + 0, b + 0)
        return x != y ? (x ? -1 : 1) : sign(a "", b "")
    }
    BEGIN {
        n = split(parts(one, p), a, "."); m = split(parts(other, q), b, ".")
        for (i = 1; i <= n || i <= m; i++) if (s = sign(a[i] + 0, b[i] + 0)) { print s; exit }
        if (p[0] == q[0]) { print 0; exit }
        if (p[0] == "" || q[0] == "") { print p[0] == "" ? 1 : -1; exit }
        n = split(p[0], a, "."); m = split(q[0], b, ".")
        for (i = 1; i <= n && i <= m; i++) if (s = word(a[i], b[i])) { print s; exit }
        print sign(n, m)
    }'
}
root=$state/$artifact
there='' content=''
if [ -r "$root/current/release" ]; then
    there=$(cat "$root/current/release") content=$(cat "$root/current/sha256")
    case $(compare "$release" "$there") in
        -1) refuse ROLLBACK "$artifact $release is older than $there, which is installed" ;;
        0) [ "$content" = "$sha256" ] || refuse RELEASE_REUSED "$artifact $release is installed with other content" ;;
    esac
    if [ "$there" = "$release" ]; then
        echo "$artifact $release was installed already"
        exit 0
    fi
fi
if [ -n "$least" ]; then
    [ -n "$there" ] && [ "$(compare "$there" "$least")" != -1 ] ||
        refuse NEEDS_NEWER "$artifact $release needs $least; ${there:-nothing} is installed"
fi

case $url in
    *[!A-Za-z0-9:/?\&=%._~+-]*) refuse HOST_REFUSED "the URL cannot be read" ;;
    https://* | http://127.0.0.1:* | http://localhost:*) ;;
    *) refuse HOST_REFUSED "the URL is not https" ;;
esac
place=$root/releases/$sha256
mkdir -p "$place" || refuse DISK "$place cannot be made"
partial=$place/artifact.partial
# The URL is a secret while it is good: it is handed over on standard input. No file grows beyond what is declared, but
# for the rest of a block of 512 bytes; what came before is gone on with.
(
    ulimit -f $((size / 512 + 1))
    if command -v curl >/dev/null; then
        printf 'url = "%s"\n' "$url" |
            curl --config - --fail --silent --show-error --retry 4 --continue-at - --output "$partial"
    else
        printf '%s\n' "$url" | wget --quiet --tries=4 --continue --output-document="$partial" --input-file=-
    fi
) >"$work/said" 2>&1
ended=$?
[ -e "$partial" ] || : >"$partial"
came=$(size_of "$partial")
if [ "$came" -gt "$size" ]; then
    rm -f "$partial"
    refuse ENDLESS_DATA "more than $size bytes came"
fi
if [ "$came" -lt "$size" ]; then
    [ $ended -eq 0 ] && rm -f "$partial" && refuse TRUNCATED "$came of $size bytes came"
    # Why, in curl's words, which do not tell the URL; wget's do, and it is quiet.
    why=$(sed -n 's/^curl: ([0-9]*) /: /p' "$work/said" | tail -n 1 | cut -c1-200)
    refuse DOWNLOAD_FAILED "$came of $size bytes came$why"
fi
if [ "$(openssl dgst -sha256 -r "$partial" | cut -c1-64)" != "$sha256" ]; then
    rm -f "$partial"
    refuse DIGEST_MISMATCH "what came is not what the manifest names"
fi
printf '%s\n' "$release" >"$place/release" && printf '%s\n' "$sha256" >"$place/sha256" &&
    cp "$work/manifest" "$place/manifest.json" && mv "$partial" "$place/artifact" && sync ||
    refuse DISK "$place cannot be written"

# One rename switches; what was there stays, for the way back.
previous=$(readlink "$root/current" 2>/dev/null)
switch() { ln -sfn "$1" "$root/.next" && mv -T "$root/.next" "$root/current" && sync; }
switch "releases/$sha256" || refuse DISK "$root/current cannot be switched"
if [ -x "$config/installed" ] && ! "$config/installed" "$artifact" "$release" "$root/current/artifact" >"$work/said" 2>&1; then
    if [ -n "$previous" ]; then switch "$previous"; else rm -f "$root/current"; fi
    refuse SELF_CHECK_FAILED "$config/installed failed: $(tail -n 1 "$work/said" | cut -c1-200)"
fi
echo "$artifact $release is installed"
