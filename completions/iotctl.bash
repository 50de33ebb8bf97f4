# Generated from the command tree by .ci/completions.py; do not edit.
_iotctl() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words="" word known
  case "$previous" in
    -o|--output) COMPREPLY=($(compgen -W "table json quiet" -- "$current")); return ;;
  esac
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case " account apply audit baseline cancel certs check checks core create delete demo devices diff doctor down env expiring feedback fix get handler iam infer keygen list local logs nucleus onboard ota plan profiles push reset retry rollback rotate run set shadow show status step tail template trend undo up violations watch " in *" $word "*) words="${words:+$words }$word" ;; esac ;; esac
  done
  case "$words" in
    "") known="account audit infer local onboard ota shadow --help" ;;
    "onboard") known="apply certs check doctor nucleus plan status undo --help" ;;
    "onboard check") known="--delimiter --limit --map --no-claim --policy --help" ;;
    "onboard plan") known="--adopt --bundles --ca --ca-cert --ca-key-file --ca-passphrase-file --delimiter --encrypt-keys-to --key-type --limit --map --no-claim --policy --policy-on --quota --valid-days --verify --help" ;;
    "onboard apply") known="--adopt --bucket --bundles --ca --ca-cert --ca-key-file --ca-passphrase-file --delimiter --dry-run --encrypt-keys-to --engine --key-type --limit --map --no-claim --plan --policy --policy-on --quota --role --valid-days --verify --help" ;;
    "onboard status") known="--bundles --help" ;;
    "onboard undo") known="--bundles --dry-run --quota --wait --help" ;;
    "onboard doctor") known="--bundles --connect --passphrase-file --publish --role-alias --subscribe --watch --help" ;;
    "onboard nucleus") known="--bundles --role-alias --root --user --help" ;;
    "onboard certs") known="expiring rotate --help" ;;
    "onboard certs expiring") known="--search --thing-group --things --within --help" ;;
    "onboard certs rotate") known="--anew --bundles --ca-cert --ca-key-file --ca-passphrase-file --dry-run --key-type --search --thing-group --things --timeout --valid-days --wait --help" ;;
    "shadow") known="delete diff get list set watch --help" ;;
    "shadow get") known="--name --path --help" ;;
    "shadow set") known="--create --dry-run --expect-version --file --max-changes --name --reported --search --thing-group --things --wait --help" ;;
    "shadow diff") known="--exit-code --file --live --name --search --thing-group --things --help" ;;
    "shadow list") known="--help" ;;
    "shadow delete") known="--dry-run --max-changes --name --search --thing-group --things --help" ;;
    "shadow watch") known="--count --for --name --search --thing-group --things --help" ;;
    "ota") known="cancel create handler keygen list plan retry show step watch --help" ;;
    "ota plan") known="--abort-after --abort-at --again --approve --bucket --canary --continuous --deadline --device-timeout --end --end-behavior --expires --failing --for --gate --increase-after --job-role --key-file --least --max-rate --name --no-abort --parameter --pass --passphrase-file --prefix --rate --rate-factor --release --reports --retries --search --soak --start --takes --template --thing-group --things --url-time --window --help" ;;
    "ota create") known="--abort-after --abort-at --again --approve --bucket --canary --continuous --deadline --device-timeout --dry-run --end --end-behavior --expires --for --gate --increase-after --job-role --key-file --least --max-rate --name --no-abort --parameter --pass --passphrase-file --plan --prefix --rate --rate-factor --release --reports --retries --search --soak --start --template --thing-group --things --url-time --watch --window --help" ;;
    "ota keygen") known="--out --passphrase-file --trust --type --help" ;;
    "ota step") known="--approve --dry-run --help" ;;
    "ota list") known="--all --help" ;;
    "ota watch") known="--deadline --pass --reasons --report --timeout --help" ;;
    "ota show") known="--reasons --thing --help" ;;
    "ota retry") known="--dry-run --help" ;;
    "ota cancel") known="--comment --dry-run --force --help" ;;
    "ota handler") known="--help" ;;
    "audit") known="baseline checks fix profiles run trend undo violations watch --help" ;;
    "audit checks") known="--help" ;;
    "audit run") known="--baseline --check --configure --crl --engine --fail-on --fresh --live --report --sample --search --thing-group --things --timeout --help" ;;
    "audit baseline") known="--search --thing-group --things --help" ;;
    "audit fix") known="--baseline --crl --deactivate --dry-run --job --quarantine --search --thing-group --things --help" ;;
    "audit undo") known="--dry-run --help" ;;
    "audit watch") known="--baseline --check --count --crl --every --live --notify --on-change --search --thing-group --things --help" ;;
    "audit trend") known="--last --help" ;;
    "audit profiles") known="--dry-run --help" ;;
    "audit violations") known="--search --security-profile --since --suppressed --thing-group --things --help" ;;
    "infer") known="feedback push rollback status tail --help" ;;
    "infer push") known="--bucket --canary --create-group --do --dry-run --feedback --from-training-job --interval --labels --name --on --predictions --promote-if --release --runtime --sample --search --settings --soak --source --tail --thing-group --things --timeout --topic --wait --wheels --help" ;;
    "infer status") known="--exit-code --search --thing-group --things --help" ;;
    "infer rollback") known="--dry-run --name --search --tail --thing-group --things --timeout --to --wait --help" ;;
    "infer feedback") known="--bucket --model --out --prefix --search --since --thing-group --things --help" ;;
    "infer tail") known="--connections --count --for --model --record --replay --search --stats --thing-group --things --until --where --help" ;;
    "account") known="check iam template --help" ;;
    "account check") known="--help" ;;
    "account template") known="--help" ;;
    "account iam") known="--help" ;;
    "local") known="core demo devices down env logs reset status up --help" ;;
    "local up") known="--clock-speed --delay --detach --fault --http-port --https-artifacts --https-port --mqtt-port --ports --throttle --help" ;;
    "local down") known="--help" ;;
    "local status") known="--help" ;;
    "local env") known="--help" ;;
    "local logs") known="--follow --help" ;;
    "local reset") known="--help" ;;
    "local devices") known="--bundles --fail --for --offline --passphrase-file --reboot --sdk --slow --trust --help" ;;
    "local core") known="--bundles --for --thing-group --help" ;;
    "local demo") known="--clean --help" ;;
    *) known="" ;;
  esac
  COMPREPLY=($(compgen -W "$known -o --output --profile --region --expect-account -q --local -y --yes -v --verbose --debug --no-color" -- "$current"))
  [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _iotctl iotctl
