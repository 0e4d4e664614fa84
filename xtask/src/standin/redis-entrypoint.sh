#!/bin/sh
# Stand-in for the entrypoint of the official Redis image: options alone mean redis-server, and root gives up
# its rights first.
set -eu

case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1:-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
    find . \! -user 999 -exec chown 999:1000 '{}' +
    exec setpriv --reuid=999 --regid=1000 --clear-groups -- "$0" "$@"
fi

# The official image is built without protected mode: a container's only users are on other machines.
case " $* " in
*' --protected-mode '* | *' --version '* | *' -v '* | *' --help '* | *' -h '*) ;;
' redis-server '*) set -- "$@" --protected-mode no ;;
esac

# What Redis writes is its own business.
if [ "$(umask)" = 0022 ]; then umask 0077; fi

exec "$@"
