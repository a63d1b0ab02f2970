#!/usr/bin/env bash
# Installs irisab on this host, starts it and prints its addresses.
#
#   sudo ./bootstrap.sh           install; from a newer release or source tree: upgrade
#   ./bootstrap.sh --help         everything else it can do
#
# Each step looks at what is there before it changes anything. So running it again is always safe:
# it changes nothing on a healthy host, and finishes a run that was interrupted.
set -Eeuo pipefail
umask 022  # root's own umask may hide what is installed from the service's user
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin  # `su` without `-` leaves them out

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OPT=/opt/irisab ETC=/etc/irisab INI=/etc/irisab.ini DATA=/var/lib/irisab
# What models of this host's own need besides: lines of pip's, written by the operator.
PACKAGES=$ETC/requirements.txt
SYSTEMD=/etc/systemd/system NGINX=/etc/nginx/nginx.conf
# Whom alerts go to, and how; for root alone, because passwords are among it.
NOTIFY=$ETC/alertmanager
PAGE_DROP_IN=$SYSTEMD/irisab-ui.service.d/irisab-key.conf
# What a release consists of.
FILES=(irisab ui bin systemd nginx prometheus alertmanager bootstrap.sh smoke.py irisab.ini.sample
       requirements.txt requirements-ui.txt README.md docs)
# What an archive of `make release` has beside these, and a source tree has not.
PAPERS=(MANIFEST sbom.cdx.json)
SERVICES=(irisab.socket irisab.service irisab-ui.service irisab-prometheus.service
          irisab-alertmanager.service irisab-{drift,retrain,rollout}.timer nginx.service)
DISK_MB=2500  # two virtual environments (1 GB), Prometheus (0.3 GB), and both once more to upgrade
VENV_MB=800   # the larger of the two environments, and room for what it is unpacked from

usage() {
  cat <<TEXT
Usage: sudo ./bootstrap.sh [OPTION]...

Installs irisab on Amazon Linux 2023, Debian 12+ or Ubuntu 24.04+. A newer one upgrades.

  --tls-cert FILE --tls-key FILE   serve HTTPS too, with this certificate and key
  --self-signed                    serve HTTPS too, with a certificate made here
  --notify-email ADDRESS --smtp HOST:PORT
                                   mail alerts to ADDRESS by this mail server
  --smtp-user NAME --smtp-password FILE
                                   which asks for a login; the password is the file's first line,
                                   or with - that of standard input
  --smtp-from ADDRESS              whom the mails come from; without it ADDRESS itself
  --notify-webhook URL             post alerts to URL, as JSON
  --notify-test                    send a test alert the way of real ones; say who accepted it
  --keys                           close the door: whoever asks needs a key, and the page a password
  --dry-run                        print what would be done; change nothing
  --verify                         check every component and say what is missing
  --urls                           print the addresses
  --rollback                       go back to the release that was installed before
  --uninstall [--purge [--yes]]    remove irisab; --purge: also its data, models and settings;
                                   --yes: also where [data] has moved them, without a question
  --help                           this text
TEXT
}

say() { printf '%s\n' "$*"; }
die() { trap - ERR; printf 'bootstrap: %s\n' "$*" >&2; exit 1; }
step() { current_step=$*; say "[$((++steps))/8] $*"; }
# run COMMAND...: run it, or only print it.
run() { if [[ $dry_run ]]; then say "  + $*"; else "$@"; fi; }
have() { type -P "$@" >/dev/null; }
is_active() { systemctl is-active --quiet "$1"; }
hash_of() { { cat -- "$@" 2>/dev/null || true; } | sha256sum | cut -c1-12; }

stopped() {
  ((BASH_SUBSHELL == 0)) || exit 1
  die "stopped at step $steps ($current_step). Mend what is said above and run this again."
}

# place MODE SRC DST: copies a file so that a half-written one never stands there, and after a power
# cut not an empty one either.
place() { install -D -m "$1" "$2" "$3.part" && sync "$3.part" && mv -f "$3.part" "$3"; }
# link SRC DST: moves a symbolic link without a moment in which it is missing.
link() { mkdir -p "$(dirname "$2")" && ln -sfn "$1" "$2.part" && mv -fT "$2.part" "$2"; }
point() { [[ $(readlink "$2") == "$1" ]] || run link "$1" "$2"; }

# put MODE SRC DST: installs a file if it differs. One that a person has edited stays as it is;
# what was installed is remembered beside the settings, and so outlives --uninstall as they do.
put() {
  local ours=$ETC/installed/${3//\//_}
  if [[ -e $3 && -e $ours ]] && ! cmp -s "$3" "$ours" && ! cmp -s "$3" "$2"; then
    say "  kept your edited $3"
    cmp -s "$2" "$ours" || cmp -s "$2" "$3.new" || run place "$1" "$2" "$3.new"
    return
  fi
  cmp -s "$2" "$3" || run place "$1" "$2" "$3"
  cmp -s "$2" "$ours" || run place 0600 "$2" "$ours"
}

# differing FOLDER: names the files that are not what the release's MANIFEST says, and those that
# it does not know at all.
differing() {
  local strangers
  cd "$1"
  sha256sum --check --quiet MANIFEST 2>/dev/null | sed 's/: FAILED.*//' || true
  strangers=$(find "${FILES[@]}" "${PAPERS[@]}" ! -type d ! -path '*/__pycache__/*' \
    ! -path MANIFEST 2>/dev/null || true)
  # sha256sum passes over a line that it can't read; the file of such a line is a stranger, too.
  comm -13 <(sed -n 's/^[0-9a-f]\{64\}  //p' MANIFEST | LC_ALL=C sort) \
    <(LC_ALL=C sort <<<"$strangers")
}

# A source tree has no MANIFEST, and vouches for nothing.
check_release() {
  local changed
  [[ -e $TREE/MANIFEST ]] || return 0
  changed=$(differing "$TREE" | sort -u | paste -sd ' ')
  [[ ! $changed ]] || die "this is not what was released: $changed. Unpack the archive again."
}

check_host() {
  local id version name
  step "Checking the host"
  # shellcheck source=/dev/null
  IFS='|' read -r id version name < <(. /etc/os-release && echo "$ID|${VERSION_ID:-}|$PRETTY_NAME")
  case $id:$version in
    amzn:2023*) family=amazon python=python3.13 web_user=nginx ;;
    amzn:2) die "Amazon Linux 2 has been out of support since June 2026: use Amazon Linux 2023." ;;
    debian:1[2-9]* | ubuntu:2[4-9].*) family=debian python=python3 web_user=www-data ;;
    *) die "$name is not supported: use Amazon Linux 2023, Debian 12+ or Ubuntu 24.04+." ;;
  esac
  [[ -d /run/systemd/system ]] || die "systemd does not run this host, and irisab is built on it."
  check_port 80 nginx
  check_port 5000 irisab.socket
  check_port 8501 irisab-ui
  check_port 9090 irisab-prometheus
  check_port 9093 irisab-alertmanager
  [[ ! $tls_cert$self_signed && ! -e $ETC/tls.conf ]] || check_port 443 nginx
  [[ -e $OPT/current ]] || need $DISK_MB
}

# need MB: stops where there is less room.
need() {
  local free
  free=$(df -Pm /opt | awk 'NR == 2 { print $4 }')
  ((free >= $1)) || die "/opt has $free MB free and the install needs $1 MB: enlarge the disk."
}

# A port may be taken by our own unit; taken by anything else it is a reason to stop.
check_port() {
  local process='s/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' listener
  listener=$(ss -Hltnp "sport = :$1" | sed -n "1$process")
  [[ $listener ]] || return 0
  if ! is_active "$2" || [[ $2 == nginx && ! -e $NGINX.before-irisab ]]; then
    die "port $1 is taken by $listener: stop that first, then run this again."
  fi
}

install_packages() {
  step "Packages of the distribution"
  if [[ $family == amazon ]]; then
    have nginx openssl cmp tar "$python" || run dnf -y -q install --setopt=install_weak_deps=False \
      nginx openssl diffutils tar "$python" "$python-pip"
    return
  fi
  # Debian starts what it installs. nginx must wait for its configuration, and Debian's own
  # Prometheus and Alertmanager stay off for good: ours have their own units, data and settings.
  have nginx || point /dev/null $SYSTEMD/nginx.service
  have prometheus || point /dev/null $SYSTEMD/prometheus.service
  have prometheus-alertmanager || point /dev/null $SYSTEMD/prometheus-alertmanager.service
  # A run that was killed here leaves half-configured packages behind.
  [[ -z $(dpkg --audit) ]] || run settle_packages
  [[ ! -e $OPT/packages.part ]] || run repair_packages
  if ! have nginx openssl curl prometheus prometheus-alertmanager ||
    ! "$python" -c 'import ensurepip' 2>/dev/null; then
    run update_lists
    run place 0644 /dev/null $OPT/packages.part
    # What serves already stays as it is.
    run apt_get install --no-install-recommends --no-upgrade nginx openssl curl prometheus \
      prometheus-alertmanager python3-venv
    run sync
    run rm -f $OPT/packages.part
  fi
}

# The dpkg of a run that was killed may be at work still, and dpkg itself waits for no lock.
settle_packages() {
  for _ in {1..60}; do
    ! dpkg --configure -a 2>/dev/null || return 0
    sleep 1
  done
  dpkg --configure -a
}

# dpkg does not wait until settings are on the disk. After a power cut it takes packages for
# installed whose files in /etc are empty; these alone are put back.
repair_packages() {
  local path lost=() owners
  while read -r path; do [[ -s $path ]] || lost+=("$path"); done < <(
    dpkg --verify | awk '$NF ~ "^/etc/" { print $NF }')
  if ((${#lost[@]})); then
    owners=$(dpkg -S "${lost[@]}" | cut -d: -f1 | sort -u)
    rm -f "${lost[@]}"
    update_lists
    # shellcheck disable=SC2086  # several words
    apt_get install --reinstall -o Dpkg::Options::=--force-confmiss $owners
  fi
  sync
  rm -f $OPT/packages.part
}

# A fresh cloud host may be fetching its lists and installing its updates. apt waits for the lock
# of the second, and is made to wait for that of the first.
update_lists() {
  local tries=60
  until apt_get update 2>"$scratch/lists"; do
    if ! grep -q "Could not get lock" "$scratch/lists" || ((tries-- == 0)); then
      cat "$scratch/lists" >&2
      return 1
    fi
    sleep 5
  done
}

apt_get() {
  LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBCONF_NOWARNINGS=yes \
    apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >"$scratch/apt" || { cat "$scratch/apt"; return 1; }
}

install_programs() {
  local from=/usr/bin
  step "Prometheus and Alertmanager"
  [[ $family != amazon ]] || fetch prometheus
  point "$from/prometheus" $OPT/bin/prometheus
  point "$from/promtool" $OPT/bin/promtool
  if [[ $family == amazon ]]; then
    fetch alertmanager
    point "$from/alertmanager" $OPT/bin/alertmanager
  else
    point "$from/prometheus-alertmanager" $OPT/bin/alertmanager
  fi
  point "$from/amtool" $OPT/bin/amtool
}

# fetch PROGRAM: puts what its list of releases has for this machine into the folder $from.
fetch() {
  local version sum address archive=$scratch/$1.tar.gz
  read -r version sum address < <(sed -n "s/^$(uname -m) //p" "$TREE/$1/release") ||
    die "no checksum of ${1^} for $(uname -m) is known: add its line to $1/release."
  from=$OPT/$1-$version
  [[ ! -e $from ]] || return 0
  run curl -fsSL --retry 3 -o "$archive" "$address"
  run sha256sum --quiet --check <<<"$sum  $archive" ||
    die "the archive at $address is not the one that was pinned (its sha256 differs)."
  run mkdir -p "$from.part"
  run tar -xzf "$archive" -C "$from.part" --strip-components=1 --no-same-owner
  run sync -f "$from.part"
  run mv -T "$from.part" "$from"
}

# Without versions, the same file would be another environment another day, and --rollback would go
# back to something that never ran.
check_packages() {
  local loose
  [[ -e $PACKAGES ]] || return 0
  loose=$(grep -vE '^[[:space:]]*(#|-|$)|==|\.whl' "$PACKAGES" | head -n 1 || true)
  [[ ! $loose ]] || die "$PACKAGES: $loose: say which version: NAME==VERSION, or the path of a .whl file."
}

# Names everything by its content, so that the same tree is the same release.
name_release() {
  local minor version more=()
  [[ ! -e $PACKAGES ]] || more=("$PACKAGES")
  minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true)
  version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$TREE/irisab/__init__.py")
  venv=$OPT/venvs/api-$minor-$(hash_of "$TREE/requirements.txt" "${more[@]}")
  venv_ui=$OPT/venvs/ui-$minor-$(hash_of "$TREE/requirements-ui.txt")
  release=$version-$(cd "$TREE" && find "${FILES[@]}" -type f ! -path '*/__pycache__/*' -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | cat - <(say "$minor") "${more[@]}" | sha256sum | cut -c1-12)
}

# build_venv DIR REQUIREMENTS [MORE]: an environment, shared by all releases that pin the same.
build_venv() {
  [[ ! -e $1/complete ]] || return 0
  say "  $1"
  need $VENV_MB
  run rm -rf "$1"
  run "$python" -m venv "$1"
  # Wheels only: no compiler is needed, and nothing in them runs before their hashes are checked.
  # Not in /tmp: on Amazon Linux that is memory. In here, what a cut installation leaves goes with it.
  run mkdir "$1/tmp"
  TMPDIR=$1/tmp run "$1/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    --no-deps --only-binary=:all: --require-hashes -r "$2"
  [[ ! -e ${3:-} ]] || add_packages "$1" "$3"
  run rm -rf "$1/tmp"
  run sync -f "$1"
  run place 0644 "$2" "$1/complete"
}

# add_packages DIR REQUIREMENTS: what models need besides. It moves nothing that is pinned already,
# and hashes count where they are given.
add_packages() {
  run "$1/bin/pip" freeze --all >"$scratch/pinned"
  TMPDIR=$1/tmp run "$1/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir \
    --only-binary=:all: --constraint "$scratch/pinned" -r "$2" ||
    die "$2 cannot be installed, see above; what served before still does."
}

install_release() {
  step "Release"
  name_release
  local dir=$OPT/releases/$release
  say "  $dir"
  build_venv "$venv" "$TREE/requirements.txt" "$PACKAGES"
  build_venv "$venv_ui" "$TREE/requirements-ui.txt"
  [[ ! -e $dir/RELEASE ]] || return 0
  run rm -rf "$dir"
  run mkdir -p "$dir"
  run cp -R "${FILES[@]/#/$TREE/}" "$dir"
  [[ ! -e $TREE/MANIFEST ]] || run cp "${PAPERS[@]/#/$TREE/}" "$dir"
  run chmod -R u=rwX,go=rX "$dir"
  run ln -s "$venv" "$dir/venv"
  run ln -s "$venv_ui" "$dir/venv-ui"
  run "$dir/venv/bin/python" -m compileall -q "$dir/irisab" "$dir/ui"
  run sync -f "$dir"  # or a power cut may leave the mark and not what it vouches for
  say "$release" >"$scratch/RELEASE"
  run place 0644 "$scratch/RELEASE" "$dir/RELEASE"  # last: it says that the release is complete
}

# irisab_cli COMMAND...: the new release's command, as the service's user.
irisab_cli() { "$OPT/releases/$release/bin/irisab" --config "$INI" "$@"; }

# Pickled models that a release served which asked nobody to vouch for them are opened as they were.
# From then on root says which may be.
vouch_for_old() {
  local command=irisab/cli/vouch.py
  [[ $dry_run || -e $OPT/releases/$release/$command ]] || return 0
  [[ -e $ETC/vouched && (! -e $OPT/current || -e $OPT/current/$command) ]] || run irisab_cli vouch --all
}

install_models() {
  step "User, settings and models"
  getent passwd irisab >/dev/null || run useradd --system --user-group --no-create-home \
    --home-dir $DATA --shell /usr/sbin/nologin irisab
  # It may be a disk of its own: a new one, or one from a host on which the user had another number.
  if [[ $(stat -c %U $DATA 2>/dev/null) != irisab ]]; then
    run install -d -m 0750 $DATA
    run chown -R irisab:irisab $DATA  # the directory itself comes last, so that a killed run resumes
  fi
  [[ -e $INI ]] || run place 0644 "$TREE/irisab.ini.sample" $INI
  [[ -d $ETC ]] || run install -d -m 0755 $ETC
  vouch_for_old
  # The new release must accept the settings and the models before it takes over. Only a first
  # install makes models: later, one that is missing is the operator's to train, on other data.
  irisab_cli check >/dev/null 2>&1 || [[ -e $OPT/current ]] || run irisab_cli train
  run irisab_cli check >/dev/null
}

install_files() {
  local unit from=$OPT/current
  step "Units, nginx and rules"
  switch_release
  [[ ! $dry_run ]] || from=$TREE
  for unit in irisab{,-ui,-prometheus,-alertmanager,-drift,-retrain,-rollout,-alert@,-failed@}.service \
    irisab.socket irisab-{drift,retrain,rollout}.timer nginx.service.d/irisab.conf; do
    # An earlier release need not have it. It stays, and passes over what that one cannot do.
    [[ -e $from/systemd/$unit || $unit != irisab-@(r[eo]|alertm|failed)*.* ]] || continue
    put 0644 "$from/systemd/$unit" "$SYSTEMD/$unit"
  done
  put 0644 "$from/prometheus/prometheus.yml" $ETC/prometheus.yml
  put 0644 "$from/prometheus/alerts.yml" $ETC/alerts.yml
  point $OPT/current/bin/irisab /usr/local/bin/irisab
  make_password
  [[ ! $self_signed || -e $ETC/tls.conf ]] || make_certificate
  if [[ $tls_cert ]]; then
    cmp -s "$tls_key" $ETC/tls.key || run place 0600 "$tls_key" $ETC/tls.key
    cmp -s "$tls_cert" $ETC/tls.crt || run place 0644 "$tls_cert" $ETC/tls.crt
  fi
  [[ ! $tls_cert && ! -e $ETC/tls.conf ]] || put 0644 "$from/nginx/tls.conf" $ETC/tls.conf
  keep_notify
  [[ ! -e $from/alertmanager ]] || write_alertmanager "$from/alertmanager"
  [[ -e $NGINX.before-irisab || ! -e $NGINX ]] || run place 0644 $NGINX $NGINX.before-irisab
  sed "s/^user .*/user $web_user;/" "$from/nginx/nginx.conf" >"$scratch/nginx.conf"
  [[ ! $keys ]] || make_page_key
  [[ ! -s $ETC/page.key ]] || lock_page "$from"
  put 0644 "$scratch/nginx.conf" $NGINX
  give_page_key
}

# The page's key opens all that the API has, so root alone reads the file. The unit hands it over.
make_page_key() {
  [[ ! -s $ETC/page.key ]] || return 0
  if [[ $dry_run ]]; then run irisab key add page; return; fi
  # A run that was killed here has a key that nobody knows.
  irisab_cli key add page --scope predict,feedback,read,force >"$scratch/page.key" 2>/dev/null ||
    irisab_cli key rotate page >"$scratch/page.key"
  place 0600 "$scratch/page.key" $ETC/page.key
}

# lock_page RELEASE: puts the page behind the password; an earlier release has no file and no line.
lock_page() {
  [[ ! -e $1/nginx/page.conf ]] || put 0644 "$1/nginx/page.conf" $ETC/page.conf
  grep -q "include $ETC/page" "$scratch/nginx.conf" ||
    sed -i "s|^ *location / {|&\n            include $ETC/page*.conf;|" "$scratch/nginx.conf"
}

# The lock comes before the key, and goes with it.
give_page_key() {
  if [[ ! -s $ETC/page.key ]]; then
    [[ ! -e $ETC/page.conf ]] || run rm -f $ETC/page.conf $PAGE_DROP_IN
    return
  fi
  page_is_locked || die "$NGINX is yours, and does not ask for the page's password. Below" \
    "\`location / {\` it needs the line: include $ETC/page*.conf;  Then run this again."
  printf '[Service]\nLoadCredential=key:%s\n' $ETC/page.key >"$scratch/page"
  cmp -s "$scratch/page" $PAGE_DROP_IN || run place 0644 "$scratch/page" $PAGE_DROP_IN
}

page_is_locked() {
  [[ $dry_run || $(nginx -T 2>/dev/null) == *"# configuration file $ETC/page.conf:"* ]]
}

# require_keys: sets [auth] require in the INI, where it does not say feedback or all already.
require_keys() {
  ! closed || return 0
  if [[ $dry_run ]]; then say "  + require = all below [auth] in $INI"; return; fi
  cp -p $INI "$scratch/before"
  cp -p $INI $INI.part
  awk '
    /^\[auth\]/ { print; print "require = all"; inside = found = 1; next }
    /^\[/ { inside = 0 }
    !(inside && /^[[:space:]]*require[[:space:]]*=/)
    END { if (!found) print "\n[auth]\nrequire = all" }
  ' "$scratch/before" >$INI.part
  mv -f $INI.part $INI
  systemctl reload irisab && return
  mv -f "$scratch/before" $INI
  die "the service refuses to ask for keys, and $INI is as it was: systemctl status irisab"
}

# Each release has the way back in itself, so that one link moves all: whenever this is killed,
# the one in force has another to go to.
switch_release() {
  local old
  old=$(readlink $OPT/current || true)
  [[ $old != "releases/$release" ]] || return 0
  [[ ! $old ]] || point "../${old#releases/}" "$OPT/releases/$release/previous"
  point "releases/$release" $OPT/current
}

# keep NAME [VALUE]: remembers a setting for later runs, or forgets it.
keep() {
  if [[ ! ${2:-} ]]; then
    [[ ! -e $NOTIFY/$1 ]] || run rm -f "$NOTIFY/$1"
  elif [[ $(kept "$1") != "$2" ]]; then
    printf '%s\n' "$2" >"$scratch/$1"
    run place 0600 "$scratch/$1" "$NOTIFY/$1"
  fi
}

kept() { cat "$NOTIFY/$1" 2>/dev/null || true; }

keep_notify() {
  [[ -d $NOTIFY ]] || run install -d -m 0700 $NOTIFY
  if [[ $notify_email ]]; then
    keep email "$notify_email"
    keep smtp "$smtp"
    keep smtp-user "$smtp_user"
    keep smtp-password "$smtp_password"
    keep smtp-from "$smtp_from"
  fi
  [[ ! $notify_webhook ]] || keep webhook "$notify_webhook"
}

# write_alertmanager FOLDER: its settings are those of the folder, and whom they name.
write_alertmanager() {
  { cat "$1/alertmanager.yml" && mail_receiver && webhook_receiver; } >"$scratch/alertmanager.yml"
  put 0600 "$scratch/alertmanager.yml" $NOTIFY/alertmanager.yml
  put 0644 "$1/mail.tmpl" $NOTIFY/mail.tmpl
  say "IRISAB_URL=$(site)" >"$scratch/address"
  cmp -s "$scratch/address" $NOTIFY/address || run place 0644 "$scratch/address" $NOTIFY/address
}

# quoted TEXT: as YAML has it.
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

mail_receiver() {
  local to server tls=true
  to=$(kept email) server=$(kept smtp)
  [[ $to ]] || return 0
  # A mail server of this host itself has no certificate to show, and nobody listens in between.
  [[ $server != @(localhost|127.+([0-9.])|\[::1\]):* ]] || tls=false
  cat <<TEXT
    email_configs:
      - to: $(quoted "$to")
        from: $(from=$(kept smtp-from) && quoted "${from:-$to}")
        smarthost: $(quoted "$server")
        require_tls: $tls
        send_resolved: true
        headers: {Subject: '{{ template "irisab.subject" . }}'}
        html: ''
        text: '{{ template "irisab.text" . }}'
TEXT
  [[ ! $(kept smtp-user) ]] || cat <<TEXT
        auth_username: $(quoted "$(kept smtp-user)")
        auth_password: $(quoted "$(kept smtp-password)")
TEXT
}

webhook_receiver() {
  [[ ! $(kept webhook) ]] || cat <<TEXT
    webhook_configs:
      - url: $(quoted "$(kept webhook)")
        send_resolved: true
TEXT
}

# The password stays readable by root alone; nginx gets its hash.
make_password() {
  [[ ! $dry_run ]] || return 0
  if [[ ! -s $ETC/password ]]; then
    openssl rand -base64 18 >"$scratch/password"
    place 0600 "$scratch/password" $ETC/password
  fi
  if [[ ! $ETC/htpasswd -nt $ETC/password ]] || { is_random && ! grep -q '{SSHA}' $ETC/htpasswd; }; then
    say "irisab:$(hash_password)" >"$scratch/htpasswd"
    place 0640 "$scratch/htpasswd" $ETC/htpasswd
  fi
  [[ $(stat -c %G $ETC/htpasswd) == "$web_user" ]] || chgrp "$web_user" $ETC/htpasswd
}

# As `openssl rand -base64 18` writes 144 bits.
is_random() { grep -Eqx '[A-Za-z0-9+/]{24}' $ETC/password; }

# nginx hashes what each request brings. A slow hash keeps a person's password from being tried out
# by whoever reads the file; 144 random bits need none, and a thousand guesses a second at a slow
# one are both of nginx' processes.
hash_password() {
  local salt
  if ! is_random; then openssl passwd -6 -stdin <$ETC/password; return; fi
  salt=$(openssl rand -hex 8)
  say "{SSHA}$({ printf %s "$(<$ETC/password)$salt" | openssl dgst -sha1 -binary; printf %s "$salt"; } |
    openssl base64 -A)"
}

check_certificate() {
  local certified key
  # Only a dry run can be here without it.
  [[ $tls_cert$tls_key ]] && have openssl || return 0
  certified=$(openssl x509 -noout -pubkey -in "$tls_cert" 2>/dev/null || true)
  key=$(openssl pkey -pubout -passin pass: -in "$tls_key" 2>/dev/null || true)
  [[ $certified && $certified == "$key" ]] ||
    die "--tls-cert and --tls-key must be a certificate and its key, without a passphrase."
}

make_certificate() {
  tls_cert=$scratch/tls.crt tls_key=$scratch/tls.key
  openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj "/CN=$(public_address)" \
    -addext "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:$(public_address)" \
    -keyout "$tls_key" -out "$tls_cert" 2>/dev/null
}

# apply VERB UNIT FILE...: brings the unit up with these files, and leaves it alone if it runs
# with them already. What it runs with is remembered only once it does.
apply() {
  local verb=$1 unit=$2 stamp=$OPT/applied/$2
  hash_of "${@:3}" >"$scratch/applied"
  systemctl is-enabled --quiet "$unit" 2>/dev/null || run systemctl enable --quiet "$unit"
  is_active "$unit" || verb=start
  # One that has just failed as often as systemd allows would not be started, of no release.
  [[ $verb != start ]] || run systemctl reset-failed "$unit" 2>/dev/null || true
  # A dry run has not put the new release there, which would show.
  if [[ $verb == start ]] || ! cmp -s "$scratch/applied" "$stamp" ||
    [[ $dry_run && "$*" == */RELEASE* && $(cat $OPT/current/RELEASE) != "$release" ]]; then
    run systemctl "$verb" "$unit" || { journalctl -q --no-pager -n 10 -u "$unit"; return 1; }
    run place 0644 "$scratch/applied" "$stamp"
  fi
}

start_services() {
  step "Starting"
  [[ ! -L $SYSTEMD/nginx.service ]] || run systemctl unmask --quiet nginx.service
  run systemctl daemon-reload
  if have getenforce && [[ $(getenforce) == Enforcing ]] &&
    [[ $(getsebool httpd_can_network_connect) != *on ]]; then
    run setsebool -P httpd_can_network_connect on
  fi
  apply restart irisab.socket $SYSTEMD/irisab.socket
  apply restart irisab.service $SYSTEMD/irisab.service $OPT/current/RELEASE
  [[ ! $keys ]] || require_keys
  # The page's password comes before its key.
  run nginx -t -q
  apply reload nginx.service $NGINX $ETC/page.conf $ETC/tls.{conf,crt,key}
  apply restart irisab-ui.service $SYSTEMD/irisab-ui.service $OPT/current/RELEASE \
    $PAGE_DROP_IN $ETC/page.key
  apply restart irisab-alertmanager.service $SYSTEMD/irisab-alertmanager.service \
    $NOTIFY/{alertmanager.yml,mail.tmpl,address} $OPT/current/alertmanager/release
  apply restart irisab-prometheus.service $SYSTEMD/irisab-prometheus.service $ETC/*.yml \
    $OPT/current/prometheus/release
  apply restart irisab-drift.timer $SYSTEMD/irisab-drift.timer
  apply restart irisab-retrain.timer $SYSTEMD/irisab-retrain.timer
  apply restart irisab-rollout.timer $SYSTEMD/irisab-rollout.timer
}

check() { if "${@:2}" >/dev/null 2>&1; then say "  ✔ $1"; else say "  ✘ $1"; failed=yes; fi; }

as_released() { [[ ! $(differing $OPT/current) ]]; }

# Is everything there, is it as it should be, and does it answer?
verify() {
  local path unit failed=
  [[ -e $OPT/current/RELEASE ]] || die "irisab is not installed here: sudo ./bootstrap.sh"
  for path in $OPT/current/venv{,-ui}/complete $OPT/bin/prometheus $ETC/password $ETC/htpasswd; do
    check "$path" test -s "$path"
  done
  [[ ! -e $OPT/current/MANIFEST ]] ||
    check "$OPT/current is as it was released: sha256sum --check MANIFEST" as_released
  check "$INI and its models: irisab check" $OPT/current/bin/irisab --config $INI check
  check "$NGINX: nginx -t" nginx -t -q
  check "$ETC/prometheus.yml: promtool check config" $OPT/bin/promtool check config $ETC/prometheus.yml
  check "$NOTIFY/alertmanager.yml: amtool check-config" $OPT/bin/amtool check-config \
    $NOTIFY/alertmanager.yml
  for unit in "${SERVICES[@]}"; do
    check "$unit is enabled" systemctl is-enabled --quiet "$unit"
    check "$unit is active: systemctl status $unit" is_active "$unit"
  done
  [[ ! -s $ETC/page.key ]] || check "the page asks for the password" page_is_locked
  IRISAB_KEY=${IRISAB_KEY:-$(cat $ETC/page.key 2>/dev/null || true)} \
    $OPT/current/venv/bin/python $OPT/current/smoke.py --checks-only --patience "$patience" \
    127.0.0.1 || failed=yes
  if [[ -e $ETC/tls.conf ]]; then
    check "https://127.0.0.1/health" curl -sfk -m 10 --noproxy '*' https://127.0.0.1/health
    check "$ETC/tls.crt is valid tomorrow" openssl x509 -noout -checkend 86400 -in $ETC/tls.crt
  fi
  [[ ! $failed ]] || die "not everything works: docs/operate.md, Troubleshooting, has a command for each case."
}

# public_address: the one that EC2 gave this host (IMDSv2), else its own.
public_address() {
  local metadata=http://169.254.169.254/latest token address=
  if token=$(curl -sf -m 2 --noproxy '*' -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    $metadata/api/token); then
    # An instance without a public address answers 404.
    address=$(curl -sf -m 2 --noproxy '*' -H "X-aws-ec2-metadata-token: $token" \
      $metadata/meta-data/public-ipv4) || address=
  fi
  [[ $address =~ ^[0-9.]+$ ]] ||
    address=$(ip -4 -o address show scope global | awk '{ sub("/.*", "", $4); print $4; exit }')
  say "${address:-127.0.0.1}"
}

site() { say "http$([[ ! -e $ETC/tls.conf ]] || say s)://$(public_address)"; }

urls() {
  local address
  address=$(site)
  say "
Page         $address/$([[ ! -e $ETC/page.key ]] || say "  (the password of Prometheus)")
API          $address/predict  (all of it: $address/openapi.json)
Prometheus   $address/prometheus/  (user irisab; its password is in $ETC/password, for root)
Alerts       $address/prometheus/alerts
"
}

closed() { grep -Eq '^[[:space:]]*require[[:space:]]*=[[:space:]]*(feedback|all)' $INI; }

# doors: says who may ask, where that is everybody, and how to close the door.
doors() {
  if [[ $keys ]]; then first_key; return; fi
  closed ||
    say "Whoever reaches these may use them, and vote. To ask for keys: sudo $OPT/current/bootstrap.sh --keys"
}

# first_key: makes and prints the key of a first client, this once.
first_key() {
  local known
  known=$(irisab_cli key list --json)
  if [[ $known == *'"client"'* ]]; then
    say "The door is closed. For another key: sudo /usr/local/bin/irisab key add NAME --scope predict,feedback"
    return
  fi
  say "The door is closed, and the page is behind the password. Whoever asks sends a key, as in
curl -H 'Authorization: Bearer KEY' ... This is one for a first client; it is shown only now:"
  irisab_cli key add client --scope predict,feedback 2>/dev/null
}

# receivers: the ways in which people are told, one a line, as Alertmanager calls them.
receivers() {
  sed -n 's/^ *\(- \)\?\([a-z]*\)_configs:.*/\2/p' $NOTIFY/alertmanager.yml 2>/dev/null | sort -u
}

told() {
  local by
  by=$(receivers | paste -sd ' ' | sed 's/ / and /g')
  if [[ $by ]]; then
    say "Alerts go out by $by. To see one arrive: sudo $OPT/current/bootstrap.sh --notify-test"
  else
    say "Nobody is told of alerts. To be mailed: sudo $OPT/current/bootstrap.sh" \
      "--notify-email ADDRESS --smtp HOST:PORT ($OPT/current/docs/alerts.md)"
  fi
}

# Posts an alert as Prometheus would, and waits until everybody has it, or has not taken it.
notify_test() {
  local by server failed='' api=http://127.0.0.1:9093/alertmanager
  local -A before=()
  [[ $(receivers) ]] || die "nobody is told of alerts, so there is nothing to test. To be mailed:" \
    "sudo $OPT/current/bootstrap.sh --notify-email ADDRESS --smtp HOST:PORT"
  for by in $(receivers); do before[$by]=$(tries "$by"); done
  say "Posting an alert to Alertmanager, which waits ten seconds for others like it"
  test_alert | curl -sf -m 10 --noproxy '*' -H 'Content-Type: application/json' -d @- \
    $api/api/v2/alerts || die "Alertmanager does not answer: systemctl status irisab-alertmanager"
  for by in $(receivers); do
    case $by in
      email) server=$(kept smtp) ;;
      webhook) server=$(kept webhook | cut -d/ -f3 | sed 's/.*@//') ;;
      *) server='' ;;
    esac
    outcome "$by" "${before[$by]}" "${server:+ $server}" || failed=yes
  done
  [[ ! $failed ]] ||
    die "not everybody is told of alerts. Mend what is said above, or give --notify-email or" \
      "--notify-webhook again: $OPT/current/docs/alerts.md"
}

test_alert() {
  cat <<JSON
[{"labels": {"alertname": "IrisabTest", "severity": "info", "test": "$(date +%s.%N)"},
  "annotations": {
    "summary": "This is a test.",
    "description": "Alerts of this host arrive where you read this.",
    "page": "/",
    "action": "nothing to do; that the test is over is told, too, in five minutes",
    "runbook_url": "docs/alerts.md#to-a-mail-in-three-commands"},
  "startsAt": "$(date -u +%FT%TZ)", "endsAt": "$(date -u -d '2 minutes' +%FT%TZ)"}]
JSON
}

# tries KIND: how often Alertmanager has tried to tell in this way, and how often that failed.
tries() {
  curl -sf -m 10 --noproxy '*' http://127.0.0.1:9093/alertmanager/metrics | awk -v kind="\"$1\"" '
    index($0, kind) && /^alertmanager_notification_requests_total/ { all += $NF }
    index($0, kind) && /^alertmanager_notification_requests_failed_total/ { failed += $NF }
    END { print all + 0, failed + 0 }'
}

# refusal KIND: why it was not accepted, as soon as the journal has it.
refusal() {
  local why
  for _ in {1..10}; do
    sleep 1
    why=$(journalctl -q -u irisab-alertmanager --since -90s -o cat | grep -F "$1[" |
      sed -n '$s/.*err=//p') || true
    [[ ! $why ]] || break
  done
  say "$why"
}

# outcome KIND BEFORE SERVER: waits for a try more than there were, and says what came of it.
outcome() {
  local all failed all_before failed_before
  read -r all_before failed_before <<<"$2"
  for _ in {1..60}; do
    read -r all failed < <(tries "$1")
    if ((failed > failed_before)); then
      say "  ✘ $1: not accepted:" "$(refusal "$1")"
      return 1
    fi
    ((all == all_before)) || { say "  ✔ $1: accepted by$3"; return 0; }
    sleep 1
  done
  say "  ✘ $1: nothing was sent in a minute: journalctl -u irisab-alertmanager"
  return 1
}

# The release that last passed all checks is what a deploy goes back to.
remember_good() {
  cmp -s $OPT/current/RELEASE $OPT/good || run place 0644 $OPT/current/RELEASE $OPT/good
}

# Only the current release and the one before it are kept, and what these two need.
remove_old() {
  local path kept
  kept=$(readlink -f $OPT/current{,/previous}{,/venv,/venv-ui} || true)
  for path in "$OPT"/releases/* "$OPT"/venvs/*; do
    grep -qxF "$(readlink -f "$path")" <<<"$kept" || run rm -rf "$path"
  done
}

install_all() {
  check_release
  check_packages
  check_host
  install_packages
  check_certificate
  install_programs
  install_release
  install_models
  install_files
  start_services
  step "Checking every component"
  [[ ! $dry_run ]] || return 0
  verify
  remember_good
  remove_old
  urls
  told
  doors
}

rollback() {
  release=$(readlink $OPT/current/previous) || die "there is no earlier release to go back to."
  release=${release#../}
  say "From $(cat $OPT/current/RELEASE) back to $release"
  check_host
  vouch_for_old
  irisab_cli check >/dev/null
  install_files
  start_services
  [[ ! $dry_run ]] || return 0
  verify
  remember_good
}

# moved: prints what [data] has moved out of the folder that an install made for it, and what lies
# beside such a history; only what the service owns.
moved() {
  local history path
  history=$(data_option history)
  for path in "$(data_option models)" "${history:--}"* "${history%/*}"/{last-good.ini,keys-used.json}; do
    [[ $path != /* || ! -e $path || $path == "$DATA"/* || $(stat -c %U "$path") != irisab ]] ||
      say "$path"
  done
}

# data_option NAME: the path that the INI has for it, if it has one.
data_option() {
  local path
  path=$(sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*\([^[:space:]#].*\)/\1/p" $INI 2>/dev/null |
    sed 's/[[:space:]]#.*//; s/[[:space:]]*$//; q')
  [[ ! $path ]] || (cd "${INI%/*}" && realpath -ms -- "$path")
}

# Somebody may have put there what is not ours; and [data] may be a slip of the pen.
ask_for_moved() {
  local answer=''
  mapfile -t elsewhere < <(moved)
  if ((${#elsewhere[@]} == 0)) || [[ $sure$dry_run ]]; then return; fi
  printf '[data] in %s has moved these, and --purge would delete them:\n' $INI
  printf '  %s\n' "${elsewhere[@]}"
  [[ ! -t 0 ]] || read -rp "Delete them? [yes/no] " answer
  [[ $answer == yes ]] || die "nothing was changed. To delete them without a question: --uninstall --purge --yes"
}

uninstall() {
  local unit path elsewhere=()
  [[ ! $purge ]] || ask_for_moved
  say "Removing irisab${purge:+, its data, models and settings}"
  # Masked by an install: nginx until it was configured, Debian's other two for good. Unmasked, they
  # would start with the next boot and be open to everybody.
  for unit in nginx prometheus prometheus-alertmanager; do
    [[ ! -L $SYSTEMD/$unit.service ]] || run systemctl unmask --quiet $unit.service
    run systemctl disable --quiet $unit.service 2>/dev/null || true
  done
  for unit in "${SERVICES[@]}"; do run systemctl disable --quiet --now "$unit" || true; done
  # What a timer has started may be at work for minutes, as the user that goes.
  run systemctl stop --quiet 'irisab-drift*' 'irisab-retrain*' 'irisab-rollout*' 'irisab-command-*'
  run systemctl stop --quiet 'irisab-failed@*'  # started by that, and of the same user
  run rm -f $SYSTEMD/irisab{,-ui,-prometheus,-alertmanager,-alert@,-failed@}.{service,socket}{,.new} \
    $SYSTEMD/irisab-{drift,retrain,rollout}.{service,timer}{,.new} \
    $SYSTEMD/nginx.service.d/irisab.conf{,.new} $PAGE_DROP_IN
  for unit in nginx irisab-ui; do
    [[ ! -d $SYSTEMD/$unit.service.d ]] ||
      run rmdir --ignore-fail-on-non-empty "$SYSTEMD/$unit.service.d"
  done
  run systemctl daemon-reload
  run systemctl reset-failed 'irisab-*' 2>/dev/null || true  # what was stopped at work
  [[ ! -e $NGINX.before-irisab ]] || run mv -f $NGINX.before-irisab $NGINX
  run rm -rf $OPT /usr/local/bin/irisab $NGINX.new $ETC/installed/*nginx.conf
  if [[ $purge ]]; then
    run rm -rf "${elsewhere[@]}" $DATA $ETC $INI \
      /var/lib/{,private/}irisab-{ui,prometheus,alertmanager} \
      /var/lib/systemd/timers/stamp-irisab-{drift,retrain}.timer
    run userdel irisab || true
  else
    say "Kept: $INI, $ETC, $DATA, /var/lib/irisab-prometheus (--uninstall --purge removes them)."
  fi
  for path in "$SYSTEMD"/irisab*.d/*; do
    [[ ! -e $path || $path == "$PAGE_DROP_IN" ]] || say "Kept: $path, which is not ours."
  done
  say "The packages of the distribution stay; nginx is off, with its own configuration."
}

parse() {
  while (($#)); do
    case $1 in
      --tls-cert | --tls-key)
        [[ -r ${2:-} ]] || die "$1 needs a file that can be read."
        if [[ $1 == --tls-cert ]]; then tls_cert=$2; else tls_key=$2; fi
        shift ;;
      --self-signed) self_signed=yes ;;
      --notify-email | --notify-webhook | --smtp | --smtp-user | --smtp-password | --smtp-from)
        [[ ${2:-} && $2 != --* ]] || die "$1 needs a value: bootstrap.sh --help"
        declare -g "$(tr - _ <<<"${1#--}")=$2"
        shift ;;
      --notify-test) action=notify_test ;;
      --dry-run) dry_run=yes ;;
      --keys) keys=yes ;;
      --purge) purge=yes ;;
      --yes) sure=yes ;;
      --verify) action=verify patience=5 ;;
      --urls | --rollback | --uninstall) action=${1#--} ;;
      --help) usage; exit ;;
      *) usage >&2; die "unknown option $1." ;;
    esac
    shift
  done
  [[ ${tls_cert:+given} == "${tls_key:+given}" ]] || die "--tls-cert and --tls-key go together."
  check_notify
}

check_notify() {
  local address='^[^[:space:]@]+@[^[:space:]@]+$'
  local server='^([[:alnum:].-]+|\[[[:xdigit:]:]+\]):[0-9]+$'
  [[ ${notify_email:+given} == "${smtp:+given}" ]] ||
    die "--notify-email and --smtp go together: ADDRESS, and HOST:PORT of a mail server."
  [[ ${smtp_user:+given} == "${smtp_password:+given}" ]] ||
    die "--smtp-user and --smtp-password go together: NAME, and the FILE that has its password."
  [[ ! $smtp_user$smtp_from || $notify_email ]] ||
    die "--smtp-user and --smtp-from go with --notify-email and --smtp: say all of it again."
  [[ ! $notify_email || $notify_email =~ $address ]] ||
    die "--notify-email: $notify_email is no address."
  [[ ! $smtp_from || $smtp_from =~ $address ]] || die "--smtp-from: $smtp_from is no address."
  [[ ! $smtp || $smtp =~ $server ]] ||
    die "--smtp: $smtp is not HOST:PORT, such as mail.example.org:587."
  [[ ! $notify_webhook || $notify_webhook =~ ^https?://[^[:space:]]+$ ]] ||
    die "--notify-webhook: $notify_webhook is not a URL, such as https://hooks.example.org/irisab."
  [[ ! $smtp_password ]] || read_password
}

# Never on the command line, which every user of the host can read.
read_password() {
  local file=$smtp_password
  [[ $file != - ]] || file=/dev/stdin
  [[ -r $file ]] || die "--smtp-password: $smtp_password cannot be read."
  # It asks, and hides what is typed, where that is a person.
  IFS= read -rsp "Password of $smtp_user at $smtp: " smtp_password <"$file" || true
  [[ ! -t 0 ]] || say ""
  [[ $smtp_password ]] || die "--smtp-password: there is no password in $file."
}

main() {
  # Prometheus needs a while to have looked at everything once.
  action=install_all patience=45 dry_run='' purge='' self_signed='' tls_cert='' tls_key=''
  notify_email='' notify_webhook='' smtp='' smtp_user='' smtp_password='' smtp_from=''
  keys='' sure='' steps=0 current_step='' family='' python='' web_user='' release=''
  parse "$@"
  if [[ $action == urls ]]; then urls; exit; fi
  ((EUID == 0)) || die "this needs root: sudo ./bootstrap.sh"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  exec 9>/run/irisab-bootstrap
  flock -n 9 || die "another bootstrap.sh is running on this host."
  trap stopped ERR
  "$action"
}

# A copy that was cut off in transfer must not run half of itself.
if [[ ${BASH_SOURCE[0]} == "$0" ]]; then main "$@"; fi
