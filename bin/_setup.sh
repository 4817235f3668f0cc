# Sourced by the other scripts: makes everything they need, and says what it does. Safe to run again; the second time takes a second.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export UV_PYTHON_DOWNLOADS=never PYTHONUNBUFFERED=1
UV_VERSION=0.13.9

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
stop() { printf '\n%s\n' "$*" >&2; exit 1; }

# apt packages, when they are missing and may be installed: install_system "why" package…
install_system() {
  local why=$1; shift
  [ "${SKIP_SYSTEM_PACKAGES:-}" = 1 ] && { say "Not installed, as SKIP_SYSTEM_PACKAGES=1 asks: $* ($why)"; return 1; }
  local sudo=()
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo=(sudo -n); else
      say "Missing: $* ($why). Installing them needs an administrator:"
      say "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
      return 1
    fi
  fi
  command -v apt-get >/dev/null || { say "Missing: $* ($why). This machine has no apt-get; install them its own way."; return 1; }
  say "Installing $* ($why) …"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || return 1
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

find_python() {
  local name
  for name in python3.14 python3.13 python3.12 python3.11 python3; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$name"; return
    fi
  done
  stop "Python 3.11 or newer is needed and was not found. On Debian or Ubuntu: apt-get install python3 python3-venv"
}

# The virtual environment with the pinned packages of requirements/NAME.txt.
make_environment() {
  local wanted=requirements/$1.txt stamp
  local python; python=$(find_python)
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c '' 2>/dev/null; then
    say "Making the environment in .venv with $python …"
    rm -rf .venv
    if ! "$python" -m venv .venv 2>/dev/null; then
      local version; version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
      install_system "Python's own module for virtual environments" "$version" || install_system "Python's own module for virtual environments" python3-venv \
        || stop "A virtual environment cannot be made without it."
      rm -rf .venv; "$python" -m venv .venv
    fi
  fi
  stamp=.venv/.installed-$1
  if [ "$(cat "$stamp" 2>/dev/null)" != "$(sha256sum < "$wanted")" ]; then
    say "Installing the pinned packages of $wanted …"
    [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$UV_VERSION"
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r "$wanted"
    sha256sum < "$wanted" > "$stamp"
  fi
  export PATH="$PWD/.venv/bin:$PATH"
}

# What WeasyPrint needs from the system: Pango, the font subsetter (without it a Chinese PDF takes 19 s instead of 0.4 s), Chinese fonts.
need_pdf_libraries() {
  local missing=()
  .venv/bin/python - <<'PY' 2>/dev/null || missing+=(libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0)
from weasyprint.text.ffi import harfbuzz_subset
assert harfbuzz_subset
PY
  command -v fc-list >/dev/null || missing+=(fontconfig)
  [[ "$(fc-list 2>/dev/null)" == *"Noto Serif CJK SC"* ]] || missing+=(fonts-noto-cjk)
  [ ${#missing[@]} = 0 ] && return
  install_system "certificates as PDF: text layout, font subsetting and a Chinese font" "${missing[@]}" || {
    [ "${SKIP_SYSTEM_PACKAGES:-}" = 1 ] || stop "Stopped: without them certificates cannot be printed. SKIP_SYSTEM_PACKAGES=1 goes on without PDFs."
  }
}

# Catalogues are compiled again only when one has changed.
compile_translations() {
  local stamp=.venv/.translations now
  now=$(cat ./*/locale/*/LC_MESSAGES/*.po | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$now" ] && return
  .venv/bin/python manage.py compile_translations
  printf '%s' "$now" > "$stamp"
}
