# Sourced: starts a PostgreSQL of our own in a temporary folder, for tests and measurements. Sets DATABASE_URL, or returns 1 and says why.
start_postgres() {
  local bin; bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
  if [ -z "$bin" ]; then
    install_system "the tests also run on PostgreSQL" postgresql || return 1
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
    [ -n "$bin" ] || return 1
  fi
  PG_DIR=$(mktemp -d /tmp/training-pg-XXXXXX); chmod 755 "$PG_DIR"
  PG_AS=()
  if [ "$(id -u)" = 0 ]; then  # PostgreSQL refuses to run as root
    id postgres >/dev/null 2>&1 || useradd --system --no-create-home postgres
    chown postgres "$PG_DIR"; PG_AS=(setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups)
  fi
  PG_BIN=$bin
  (cd "$PG_DIR" && "${PG_AS[@]}" "$bin/initdb" -D "$PG_DIR/data" -U training -E UTF8 --locale=C.UTF-8 --auth=trust) >"$PG_DIR/log" 2>&1 || { tail -3 "$PG_DIR/log" >&2; return 1; }
  (cd "$PG_DIR" && "${PG_AS[@]}" "$bin/pg_ctl" -D "$PG_DIR/data" -w -l "$PG_DIR/server.log" -o "-c listen_addresses='' -k $PG_DIR -c fsync=${PG_FSYNC:-off} -c synchronous_commit=${PG_FSYNC:-off} -c full_page_writes=${PG_FSYNC:-off} -c max_connections=60" start) >>"$PG_DIR/log" 2>&1 || { tail -3 "$PG_DIR/log" >&2; return 1; }
  (cd "$PG_DIR" && "${PG_AS[@]}" "$bin/createdb" -h "$PG_DIR" -U training training) || return 1
  export DATABASE_URL="postgres://training@/training?host=$PG_DIR"
}
stop_postgres() {
  [ -n "${PG_DIR:-}" ] || return 0
  (cd "$PG_DIR" && "${PG_AS[@]}" "$PG_BIN/pg_ctl" -D "$PG_DIR/data" -m immediate stop) >/dev/null 2>&1 || true
  rm -rf "$PG_DIR"
}
