#!/bin/sh
# Starts the program of the service linnet. By hand, for a look: LINNET_SECRET_FILE=/etc/linnet/secret kiosk.sh
# Reads: LINNET_BOARD (board.env); LINNET_URL, LINNET_APP, LINNET_OPTIONS (kiosk.conf); the secret.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)

file=${LINNET_SECRET_FILE:-${CREDENTIALS_DIRECTORY:-/nowhere}/secret}
secret=$(cat "$file") || secret=
case $secret in
    "") echo "kiosk: no secret in $file: put the address of a token server, or a token, into /etc/linnet/secret" >&2
        exit 2 ;;
    http://* | https://*) export LINNET_TOKEN_URL="$secret" ;;
    *) export LINNET_TOKEN="$secret" ;;
esac
unset secret

set -- run --plain --board "$here/boards/rpi/${LINNET_BOARD:-pi_usb}.json"
[ -z "${LINNET_URL:-}" ] || set -- "$@" --url "$LINNET_URL"
[ -z "${LINNET_APP:-}" ] || set -- "$@" --app "$LINNET_APP"
cd "$here"
# shellcheck disable=SC2086  # options are words
exec "$here/build/venv/bin/python" -m host_sim "$@" ${LINNET_OPTIONS:-}
