# Generated from the command tree by .ci/completions.py; do not edit.
function __iotctl_at --argument-names wanted
  set -l words (commandline -opc)
  set -l typed (string match -v -- '-*' $words[2..] | string join ' ')
  test "$typed" = "$wanted"
end
complete -c iotctl -f -n "__iotctl_at ''" -a account -d 'What this tool needs of an AWS account: who am I, what may I do, what is there.'
complete -c iotctl -f -n "__iotctl_at ''" -a audit -d 'Find where the fleet is not as it should be: Device Defenders checks, and your own.'
complete -c iotctl -f -n "__iotctl_at ''" -a infer -d 'Put a model on core devices, and follow what it predicts.'
complete -c iotctl -f -n "__iotctl_at ''" -a local -d 'AWS IoT on this machine: one process, no account, the same commands.'
complete -c iotctl -f -n "__iotctl_at ''" -a onboard -d 'A CSV becomes registered things, each with its own key and certificate.'
complete -c iotctl -f -n "__iotctl_at ''" -a ota -d 'Roll out artifacts and watch them land: signed, a few things first, then the fleet.'
complete -c iotctl -f -n "__iotctl_at ''" -a shadow -d 'Read, change and compare device state: classic and named shadows.'
complete -c iotctl -n "__iotctl_at ''" -l help
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a apply -d 'Register every thing of a fleet file.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a certs -d 'Certificates near their end, and new ones in their place.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a check -d 'Validate a fleet file, offline: rows, names, limits, duplicates; every bad line at once.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a doctor -d 'Why can this device not connect? Endpoint, clock, key, certificate, policies, client id; each with what mends it.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a nucleus -d 'Print the config.yaml of AWS IoT Greengrass nucleus lite for an onboarded core.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a plan -d 'Show, thing by thing, what apply would do and why; read-only.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a status -d 'What the runs on a bundles directory did: counts, or thing by thing.'
complete -c iotctl -f -n "__iotctl_at 'onboard'" -a undo -d 'Take back what a run made, and only that: things, certificates, and what it made for all of them.'
complete -c iotctl -n "__iotctl_at 'onboard'" -l help
complete -c iotctl -n "__iotctl_at 'onboard check'" -l delimiter
complete -c iotctl -n "__iotctl_at 'onboard check'" -l limit
complete -c iotctl -n "__iotctl_at 'onboard check'" -l map
complete -c iotctl -n "__iotctl_at 'onboard check'" -l no-claim
complete -c iotctl -n "__iotctl_at 'onboard check'" -l policy
complete -c iotctl -n "__iotctl_at 'onboard check'" -l help
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l adopt
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l ca
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l ca-cert
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l ca-key-file
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l ca-passphrase-file
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l delimiter
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l encrypt-keys-to
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l key-type
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l limit
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l map
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l no-claim
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l policy
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l policy-on
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l quota
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l valid-days
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l verify
complete -c iotctl -n "__iotctl_at 'onboard plan'" -l help
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l adopt
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l bucket
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l ca
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l ca-cert
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l ca-key-file
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l ca-passphrase-file
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l delimiter
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l dry-run
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l encrypt-keys-to
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l engine
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l key-type
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l limit
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l map
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l no-claim
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l plan
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l policy
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l policy-on
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l quota
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l role
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l valid-days
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l verify
complete -c iotctl -n "__iotctl_at 'onboard apply'" -l help
complete -c iotctl -n "__iotctl_at 'onboard status'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard status'" -l help
complete -c iotctl -n "__iotctl_at 'onboard undo'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard undo'" -l dry-run
complete -c iotctl -n "__iotctl_at 'onboard undo'" -l quota
complete -c iotctl -n "__iotctl_at 'onboard undo'" -l wait
complete -c iotctl -n "__iotctl_at 'onboard undo'" -l help
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l connect
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l passphrase-file
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l publish
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l role-alias
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l subscribe
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l watch
complete -c iotctl -n "__iotctl_at 'onboard doctor'" -l help
complete -c iotctl -n "__iotctl_at 'onboard nucleus'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard nucleus'" -l role-alias
complete -c iotctl -n "__iotctl_at 'onboard nucleus'" -l root
complete -c iotctl -n "__iotctl_at 'onboard nucleus'" -l user
complete -c iotctl -n "__iotctl_at 'onboard nucleus'" -l help
complete -c iotctl -f -n "__iotctl_at 'onboard certs'" -a expiring -d 'List certificates in use that end soon or have ended: of the things that are named, or of the whole fleet.'
complete -c iotctl -f -n "__iotctl_at 'onboard certs'" -a rotate -d 'Give things new certificates, for new keys that their devices make and that never leave them.'
complete -c iotctl -n "__iotctl_at 'onboard certs'" -l help
complete -c iotctl -n "__iotctl_at 'onboard certs expiring'" -l search
complete -c iotctl -n "__iotctl_at 'onboard certs expiring'" -l thing-group
complete -c iotctl -n "__iotctl_at 'onboard certs expiring'" -l things
complete -c iotctl -n "__iotctl_at 'onboard certs expiring'" -l within
complete -c iotctl -n "__iotctl_at 'onboard certs expiring'" -l help
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l anew
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l bundles
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l ca-cert
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l ca-key-file
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l ca-passphrase-file
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l dry-run
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l key-type
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l search
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l thing-group
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l things
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l timeout
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l valid-days
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l wait
complete -c iotctl -n "__iotctl_at 'onboard certs rotate'" -l help
complete -c iotctl -f -n "__iotctl_at 'shadow'" -a delete -d 'Delete a shadow of a thing, or of many.'
complete -c iotctl -f -n "__iotctl_at 'shadow'" -a diff -d 'Show where state differs: desired from reported, thing from thing or file, or who deviates in a fleet.'
complete -c iotctl -f -n "__iotctl_at 'shadow'" -a get -d 'Print a shadows document, as JSON.'
complete -c iotctl -f -n "__iotctl_at 'shadow'" -a list -d 'List a things shadows: the classic one, then the named ones.'
complete -c iotctl -f -n "__iotctl_at 'shadow'" -a set -d 'Merge values into the desired state of a thing, or of many; what is not named stays as it is.'
complete -c iotctl -f -n "__iotctl_at 'shadow'" -a watch -d 'Follow the changes of shadows as they happen: who, which place, from what to what.'
complete -c iotctl -n "__iotctl_at 'shadow'" -l help
complete -c iotctl -n "__iotctl_at 'shadow get'" -l name
complete -c iotctl -n "__iotctl_at 'shadow get'" -l path
complete -c iotctl -n "__iotctl_at 'shadow get'" -l help
complete -c iotctl -n "__iotctl_at 'shadow set'" -l create
complete -c iotctl -n "__iotctl_at 'shadow set'" -l dry-run
complete -c iotctl -n "__iotctl_at 'shadow set'" -l expect-version
complete -c iotctl -n "__iotctl_at 'shadow set'" -l file
complete -c iotctl -n "__iotctl_at 'shadow set'" -l max-changes
complete -c iotctl -n "__iotctl_at 'shadow set'" -l name
complete -c iotctl -n "__iotctl_at 'shadow set'" -l reported
complete -c iotctl -n "__iotctl_at 'shadow set'" -l search
complete -c iotctl -n "__iotctl_at 'shadow set'" -l thing-group
complete -c iotctl -n "__iotctl_at 'shadow set'" -l things
complete -c iotctl -n "__iotctl_at 'shadow set'" -l wait
complete -c iotctl -n "__iotctl_at 'shadow set'" -l help
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l exit-code
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l file
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l live
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l name
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l search
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l thing-group
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l things
complete -c iotctl -n "__iotctl_at 'shadow diff'" -l help
complete -c iotctl -n "__iotctl_at 'shadow list'" -l help
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l dry-run
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l max-changes
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l name
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l search
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l thing-group
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l things
complete -c iotctl -n "__iotctl_at 'shadow delete'" -l help
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l count
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l for
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l name
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l search
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l thing-group
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l things
complete -c iotctl -n "__iotctl_at 'shadow watch'" -l help
complete -c iotctl -f -n "__iotctl_at 'ota'" -a cancel -d 'Stop a rollout or a job: things that have not begun do not get it; those at it go on, unless --force.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a create -d 'Upload, sign, and make the first job.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a handler -d 'Print the job handler for devices with AWS IoT Device Client: it verifies the signature, then installs.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a keygen -d 'Make a key that signs releases, and put its public half into the trust store that devices get.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a list -d 'List rollouts, the newest first: scheduled ones and those under way.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a plan -d 'Simulate a rollout: how many get it when, how far a bad release comes, what AWS does that surprises.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a retry -d 'Try again what failed, and only that: a new job for those things, with the same document and the same brakes.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a show -d 'Show a rollout or a job: its phases, its brakes, why things failed; or what one device has of it.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a step -d 'Go on from the canary to the fleet if that is due, else say what is waited for; repeat it as you like.'
complete -c iotctl -f -n "__iotctl_at 'ota'" -a watch -d 'Follow a rollout until there is a verdict; the exit code is it: 0 passed, 10 failed, 13 still running.'
complete -c iotctl -n "__iotctl_at 'ota'" -l help
complete -c iotctl -n "__iotctl_at 'ota plan'" -l abort-after
complete -c iotctl -n "__iotctl_at 'ota plan'" -l abort-at
complete -c iotctl -n "__iotctl_at 'ota plan'" -l again
complete -c iotctl -n "__iotctl_at 'ota plan'" -l approve
complete -c iotctl -n "__iotctl_at 'ota plan'" -l bucket
complete -c iotctl -n "__iotctl_at 'ota plan'" -l canary
complete -c iotctl -n "__iotctl_at 'ota plan'" -l continuous
complete -c iotctl -n "__iotctl_at 'ota plan'" -l deadline
complete -c iotctl -n "__iotctl_at 'ota plan'" -l device-timeout
complete -c iotctl -n "__iotctl_at 'ota plan'" -l end
complete -c iotctl -n "__iotctl_at 'ota plan'" -l end-behavior
complete -c iotctl -n "__iotctl_at 'ota plan'" -l expires
complete -c iotctl -n "__iotctl_at 'ota plan'" -l failing
complete -c iotctl -n "__iotctl_at 'ota plan'" -l for
complete -c iotctl -n "__iotctl_at 'ota plan'" -l gate
complete -c iotctl -n "__iotctl_at 'ota plan'" -l increase-after
complete -c iotctl -n "__iotctl_at 'ota plan'" -l job-role
complete -c iotctl -n "__iotctl_at 'ota plan'" -l key-file
complete -c iotctl -n "__iotctl_at 'ota plan'" -l least
complete -c iotctl -n "__iotctl_at 'ota plan'" -l max-rate
complete -c iotctl -n "__iotctl_at 'ota plan'" -l name
complete -c iotctl -n "__iotctl_at 'ota plan'" -l no-abort
complete -c iotctl -n "__iotctl_at 'ota plan'" -l parameter
complete -c iotctl -n "__iotctl_at 'ota plan'" -l pass
complete -c iotctl -n "__iotctl_at 'ota plan'" -l passphrase-file
complete -c iotctl -n "__iotctl_at 'ota plan'" -l prefix
complete -c iotctl -n "__iotctl_at 'ota plan'" -l rate
complete -c iotctl -n "__iotctl_at 'ota plan'" -l rate-factor
complete -c iotctl -n "__iotctl_at 'ota plan'" -l release
complete -c iotctl -n "__iotctl_at 'ota plan'" -l reports
complete -c iotctl -n "__iotctl_at 'ota plan'" -l retries
complete -c iotctl -n "__iotctl_at 'ota plan'" -l search
complete -c iotctl -n "__iotctl_at 'ota plan'" -l soak
complete -c iotctl -n "__iotctl_at 'ota plan'" -l start
complete -c iotctl -n "__iotctl_at 'ota plan'" -l takes
complete -c iotctl -n "__iotctl_at 'ota plan'" -l template
complete -c iotctl -n "__iotctl_at 'ota plan'" -l thing-group
complete -c iotctl -n "__iotctl_at 'ota plan'" -l things
complete -c iotctl -n "__iotctl_at 'ota plan'" -l url-time
complete -c iotctl -n "__iotctl_at 'ota plan'" -l window
complete -c iotctl -n "__iotctl_at 'ota plan'" -l help
complete -c iotctl -n "__iotctl_at 'ota create'" -l abort-after
complete -c iotctl -n "__iotctl_at 'ota create'" -l abort-at
complete -c iotctl -n "__iotctl_at 'ota create'" -l again
complete -c iotctl -n "__iotctl_at 'ota create'" -l approve
complete -c iotctl -n "__iotctl_at 'ota create'" -l bucket
complete -c iotctl -n "__iotctl_at 'ota create'" -l canary
complete -c iotctl -n "__iotctl_at 'ota create'" -l continuous
complete -c iotctl -n "__iotctl_at 'ota create'" -l deadline
complete -c iotctl -n "__iotctl_at 'ota create'" -l device-timeout
complete -c iotctl -n "__iotctl_at 'ota create'" -l dry-run
complete -c iotctl -n "__iotctl_at 'ota create'" -l end
complete -c iotctl -n "__iotctl_at 'ota create'" -l end-behavior
complete -c iotctl -n "__iotctl_at 'ota create'" -l expires
complete -c iotctl -n "__iotctl_at 'ota create'" -l for
complete -c iotctl -n "__iotctl_at 'ota create'" -l gate
complete -c iotctl -n "__iotctl_at 'ota create'" -l increase-after
complete -c iotctl -n "__iotctl_at 'ota create'" -l job-role
complete -c iotctl -n "__iotctl_at 'ota create'" -l key-file
complete -c iotctl -n "__iotctl_at 'ota create'" -l least
complete -c iotctl -n "__iotctl_at 'ota create'" -l max-rate
complete -c iotctl -n "__iotctl_at 'ota create'" -l name
complete -c iotctl -n "__iotctl_at 'ota create'" -l no-abort
complete -c iotctl -n "__iotctl_at 'ota create'" -l parameter
complete -c iotctl -n "__iotctl_at 'ota create'" -l pass
complete -c iotctl -n "__iotctl_at 'ota create'" -l passphrase-file
complete -c iotctl -n "__iotctl_at 'ota create'" -l plan
complete -c iotctl -n "__iotctl_at 'ota create'" -l prefix
complete -c iotctl -n "__iotctl_at 'ota create'" -l rate
complete -c iotctl -n "__iotctl_at 'ota create'" -l rate-factor
complete -c iotctl -n "__iotctl_at 'ota create'" -l release
complete -c iotctl -n "__iotctl_at 'ota create'" -l reports
complete -c iotctl -n "__iotctl_at 'ota create'" -l retries
complete -c iotctl -n "__iotctl_at 'ota create'" -l search
complete -c iotctl -n "__iotctl_at 'ota create'" -l soak
complete -c iotctl -n "__iotctl_at 'ota create'" -l start
complete -c iotctl -n "__iotctl_at 'ota create'" -l template
complete -c iotctl -n "__iotctl_at 'ota create'" -l thing-group
complete -c iotctl -n "__iotctl_at 'ota create'" -l things
complete -c iotctl -n "__iotctl_at 'ota create'" -l url-time
complete -c iotctl -n "__iotctl_at 'ota create'" -l watch
complete -c iotctl -n "__iotctl_at 'ota create'" -l window
complete -c iotctl -n "__iotctl_at 'ota create'" -l help
complete -c iotctl -n "__iotctl_at 'ota keygen'" -l out
complete -c iotctl -n "__iotctl_at 'ota keygen'" -l passphrase-file
complete -c iotctl -n "__iotctl_at 'ota keygen'" -l trust
complete -c iotctl -n "__iotctl_at 'ota keygen'" -l type
complete -c iotctl -n "__iotctl_at 'ota keygen'" -l help
complete -c iotctl -n "__iotctl_at 'ota step'" -l approve
complete -c iotctl -n "__iotctl_at 'ota step'" -l dry-run
complete -c iotctl -n "__iotctl_at 'ota step'" -l help
complete -c iotctl -n "__iotctl_at 'ota list'" -l all
complete -c iotctl -n "__iotctl_at 'ota list'" -l help
complete -c iotctl -n "__iotctl_at 'ota watch'" -l deadline
complete -c iotctl -n "__iotctl_at 'ota watch'" -l pass
complete -c iotctl -n "__iotctl_at 'ota watch'" -l reasons
complete -c iotctl -n "__iotctl_at 'ota watch'" -l report
complete -c iotctl -n "__iotctl_at 'ota watch'" -l timeout
complete -c iotctl -n "__iotctl_at 'ota watch'" -l help
complete -c iotctl -n "__iotctl_at 'ota show'" -l reasons
complete -c iotctl -n "__iotctl_at 'ota show'" -l thing
complete -c iotctl -n "__iotctl_at 'ota show'" -l help
complete -c iotctl -n "__iotctl_at 'ota retry'" -l dry-run
complete -c iotctl -n "__iotctl_at 'ota retry'" -l help
complete -c iotctl -n "__iotctl_at 'ota cancel'" -l comment
complete -c iotctl -n "__iotctl_at 'ota cancel'" -l dry-run
complete -c iotctl -n "__iotctl_at 'ota cancel'" -l force
complete -c iotctl -n "__iotctl_at 'ota cancel'" -l help
complete -c iotctl -n "__iotctl_at 'ota handler'" -l help
complete -c iotctl -f -n "__iotctl_at 'audit'" -a baseline -d 'Print the baseline that the fleet is now: policies, and what all things, and those of each group, share.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a checks -d 'List the checks: what each finds, how bad that is, and what it looks at.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a fix -d 'Mend findings that are still so: as the check says, or as you choose; `audit undo` takes it back.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a profiles -d 'Make Device Defenders security profiles as a file declares them; those that it does not name stay.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a run -d 'Judge the fleet: every check ends pass, finding, skipped or unknown; nothing is clean by silence.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a trend -d 'Show the findings of the audits of this account and region that were made on this machine.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a undo -d 'Take back what a run of `audit fix` did, where AWS allows that.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a violations -d 'List the alarms of security profiles that are on (exit 4 if there is one); with --since what became of them.'
complete -c iotctl -f -n "__iotctl_at 'audit'" -a watch -d 'Audit again and again, and tell only what is new and what is healed.'
complete -c iotctl -n "__iotctl_at 'audit'" -l help
complete -c iotctl -n "__iotctl_at 'audit checks'" -l help
complete -c iotctl -n "__iotctl_at 'audit run'" -l baseline
complete -c iotctl -n "__iotctl_at 'audit run'" -l check
complete -c iotctl -n "__iotctl_at 'audit run'" -l configure
complete -c iotctl -n "__iotctl_at 'audit run'" -l crl
complete -c iotctl -n "__iotctl_at 'audit run'" -l engine
complete -c iotctl -n "__iotctl_at 'audit run'" -l fail-on
complete -c iotctl -n "__iotctl_at 'audit run'" -l fresh
complete -c iotctl -n "__iotctl_at 'audit run'" -l live
complete -c iotctl -n "__iotctl_at 'audit run'" -l report
complete -c iotctl -n "__iotctl_at 'audit run'" -l sample
complete -c iotctl -n "__iotctl_at 'audit run'" -l search
complete -c iotctl -n "__iotctl_at 'audit run'" -l thing-group
complete -c iotctl -n "__iotctl_at 'audit run'" -l things
complete -c iotctl -n "__iotctl_at 'audit run'" -l timeout
complete -c iotctl -n "__iotctl_at 'audit run'" -l help
complete -c iotctl -n "__iotctl_at 'audit baseline'" -l search
complete -c iotctl -n "__iotctl_at 'audit baseline'" -l thing-group
complete -c iotctl -n "__iotctl_at 'audit baseline'" -l things
complete -c iotctl -n "__iotctl_at 'audit baseline'" -l help
complete -c iotctl -n "__iotctl_at 'audit fix'" -l baseline
complete -c iotctl -n "__iotctl_at 'audit fix'" -l crl
complete -c iotctl -n "__iotctl_at 'audit fix'" -l deactivate
complete -c iotctl -n "__iotctl_at 'audit fix'" -l dry-run
complete -c iotctl -n "__iotctl_at 'audit fix'" -l job
complete -c iotctl -n "__iotctl_at 'audit fix'" -l quarantine
complete -c iotctl -n "__iotctl_at 'audit fix'" -l search
complete -c iotctl -n "__iotctl_at 'audit fix'" -l thing-group
complete -c iotctl -n "__iotctl_at 'audit fix'" -l things
complete -c iotctl -n "__iotctl_at 'audit fix'" -l help
complete -c iotctl -n "__iotctl_at 'audit undo'" -l dry-run
complete -c iotctl -n "__iotctl_at 'audit undo'" -l help
complete -c iotctl -n "__iotctl_at 'audit watch'" -l baseline
complete -c iotctl -n "__iotctl_at 'audit watch'" -l check
complete -c iotctl -n "__iotctl_at 'audit watch'" -l count
complete -c iotctl -n "__iotctl_at 'audit watch'" -l crl
complete -c iotctl -n "__iotctl_at 'audit watch'" -l every
complete -c iotctl -n "__iotctl_at 'audit watch'" -l live
complete -c iotctl -n "__iotctl_at 'audit watch'" -l notify
complete -c iotctl -n "__iotctl_at 'audit watch'" -l on-change
complete -c iotctl -n "__iotctl_at 'audit watch'" -l search
complete -c iotctl -n "__iotctl_at 'audit watch'" -l thing-group
complete -c iotctl -n "__iotctl_at 'audit watch'" -l things
complete -c iotctl -n "__iotctl_at 'audit watch'" -l help
complete -c iotctl -n "__iotctl_at 'audit trend'" -l last
complete -c iotctl -n "__iotctl_at 'audit trend'" -l help
complete -c iotctl -n "__iotctl_at 'audit profiles'" -l dry-run
complete -c iotctl -n "__iotctl_at 'audit profiles'" -l help
complete -c iotctl -n "__iotctl_at 'audit violations'" -l search
complete -c iotctl -n "__iotctl_at 'audit violations'" -l security-profile
complete -c iotctl -n "__iotctl_at 'audit violations'" -l since
complete -c iotctl -n "__iotctl_at 'audit violations'" -l suppressed
complete -c iotctl -n "__iotctl_at 'audit violations'" -l thing-group
complete -c iotctl -n "__iotctl_at 'audit violations'" -l things
complete -c iotctl -n "__iotctl_at 'audit violations'" -l help
complete -c iotctl -f -n "__iotctl_at 'infer'" -a feedback -d 'Bring the inputs that cores sent back down, with a manifest that Ground Truth reads.'
complete -c iotctl -f -n "__iotctl_at 'infer'" -a push -d 'Put a model on core devices: tried here, uploaded, made a component, deployed beside what runs there.'
complete -c iotctl -f -n "__iotctl_at 'infer'" -a rollback -d 'Go back to the release that a target had before, or to another; everything else stays as it is.'
complete -c iotctl -f -n "__iotctl_at 'infer'" -a status -d 'Show which model runs where, by digest: what each core says against what Greengrass was given.'
complete -c iotctl -f -n "__iotctl_at 'infer'" -a tail -d 'Follow predictions as they are made: a lane for each core device; what is missing is told, never hidden.'
complete -c iotctl -n "__iotctl_at 'infer'" -l help
complete -c iotctl -n "__iotctl_at 'infer push'" -l bucket
complete -c iotctl -n "__iotctl_at 'infer push'" -l canary
complete -c iotctl -n "__iotctl_at 'infer push'" -l create-group
complete -c iotctl -n "__iotctl_at 'infer push'" -l do
complete -c iotctl -n "__iotctl_at 'infer push'" -l dry-run
complete -c iotctl -n "__iotctl_at 'infer push'" -l feedback
complete -c iotctl -n "__iotctl_at 'infer push'" -l from-training-job
complete -c iotctl -n "__iotctl_at 'infer push'" -l interval
complete -c iotctl -n "__iotctl_at 'infer push'" -l labels
complete -c iotctl -n "__iotctl_at 'infer push'" -l name
complete -c iotctl -n "__iotctl_at 'infer push'" -l on
complete -c iotctl -n "__iotctl_at 'infer push'" -l predictions
complete -c iotctl -n "__iotctl_at 'infer push'" -l promote-if
complete -c iotctl -n "__iotctl_at 'infer push'" -l release
complete -c iotctl -n "__iotctl_at 'infer push'" -l runtime
complete -c iotctl -n "__iotctl_at 'infer push'" -l sample
complete -c iotctl -n "__iotctl_at 'infer push'" -l search
complete -c iotctl -n "__iotctl_at 'infer push'" -l settings
complete -c iotctl -n "__iotctl_at 'infer push'" -l soak
complete -c iotctl -n "__iotctl_at 'infer push'" -l source
complete -c iotctl -n "__iotctl_at 'infer push'" -l tail
complete -c iotctl -n "__iotctl_at 'infer push'" -l thing-group
complete -c iotctl -n "__iotctl_at 'infer push'" -l things
complete -c iotctl -n "__iotctl_at 'infer push'" -l timeout
complete -c iotctl -n "__iotctl_at 'infer push'" -l topic
complete -c iotctl -n "__iotctl_at 'infer push'" -l wait
complete -c iotctl -n "__iotctl_at 'infer push'" -l wheels
complete -c iotctl -n "__iotctl_at 'infer push'" -l help
complete -c iotctl -n "__iotctl_at 'infer status'" -l exit-code
complete -c iotctl -n "__iotctl_at 'infer status'" -l search
complete -c iotctl -n "__iotctl_at 'infer status'" -l thing-group
complete -c iotctl -n "__iotctl_at 'infer status'" -l things
complete -c iotctl -n "__iotctl_at 'infer status'" -l help
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l dry-run
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l name
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l search
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l tail
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l thing-group
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l things
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l timeout
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l to
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l wait
complete -c iotctl -n "__iotctl_at 'infer rollback'" -l help
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l bucket
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l model
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l out
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l prefix
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l search
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l since
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l thing-group
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l things
complete -c iotctl -n "__iotctl_at 'infer feedback'" -l help
complete -c iotctl -n "__iotctl_at 'infer tail'" -l connections
complete -c iotctl -n "__iotctl_at 'infer tail'" -l count
complete -c iotctl -n "__iotctl_at 'infer tail'" -l for
complete -c iotctl -n "__iotctl_at 'infer tail'" -l model
complete -c iotctl -n "__iotctl_at 'infer tail'" -l record
complete -c iotctl -n "__iotctl_at 'infer tail'" -l replay
complete -c iotctl -n "__iotctl_at 'infer tail'" -l search
complete -c iotctl -n "__iotctl_at 'infer tail'" -l stats
complete -c iotctl -n "__iotctl_at 'infer tail'" -l thing-group
complete -c iotctl -n "__iotctl_at 'infer tail'" -l things
complete -c iotctl -n "__iotctl_at 'infer tail'" -l until
complete -c iotctl -n "__iotctl_at 'infer tail'" -l where
complete -c iotctl -n "__iotctl_at 'infer tail'" -l help
complete -c iotctl -f -n "__iotctl_at 'account'" -a check -d 'Who and where am I, and is what iotctl needs there: permissions, clock, quotas, indexing, bucket, roles.'
complete -c iotctl -f -n "__iotctl_at 'account'" -a iam -d 'Print the least-privilege IAM policy for a command, ready to attach.'
complete -c iotctl -f -n "__iotctl_at 'account'" -a template -d 'Print the CloudFormation template of what commands need: a bucket, and the roles that AWS IoT takes.'
complete -c iotctl -n "__iotctl_at 'account'" -l help
complete -c iotctl -n "__iotctl_at 'account check'" -l help
complete -c iotctl -n "__iotctl_at 'account template'" -l help
complete -c iotctl -n "__iotctl_at 'account iam'" -l help
complete -c iotctl -f -n "__iotctl_at 'local'" -a core -d 'Run a Greengrass core device: it takes deployments, runs their components, and reports.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a demo -d 'Take the guided tour: a platform of its own, 200 things out of a CSV, and what any AWS client then sees.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a devices -d 'Play the things of an onboarding: they connect, act on every delta, install what jobs bring, and report.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a down -d 'Stop the local platform; its state stays.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a env -d 'Print the variables that send any AWS SDK or the AWS CLI to the local platform.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a logs -d 'Print the platforms log.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a reset -d 'Forget everything that the stopped platform knows; its ports stay.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a status -d 'Where the local platform is reached.'
complete -c iotctl -f -n "__iotctl_at 'local'" -a up -d 'Start the local platform; where it runs already, say so.'
complete -c iotctl -n "__iotctl_at 'local'" -l help
complete -c iotctl -n "__iotctl_at 'local up'" -l clock-speed
complete -c iotctl -n "__iotctl_at 'local up'" -l delay
complete -c iotctl -n "__iotctl_at 'local up'" -l detach
complete -c iotctl -n "__iotctl_at 'local up'" -l fault
complete -c iotctl -n "__iotctl_at 'local up'" -l http-port
complete -c iotctl -n "__iotctl_at 'local up'" -l https-artifacts
complete -c iotctl -n "__iotctl_at 'local up'" -l https-port
complete -c iotctl -n "__iotctl_at 'local up'" -l mqtt-port
complete -c iotctl -n "__iotctl_at 'local up'" -l ports
complete -c iotctl -n "__iotctl_at 'local up'" -l throttle
complete -c iotctl -n "__iotctl_at 'local up'" -l help
complete -c iotctl -n "__iotctl_at 'local down'" -l help
complete -c iotctl -n "__iotctl_at 'local status'" -l help
complete -c iotctl -n "__iotctl_at 'local env'" -l help
complete -c iotctl -n "__iotctl_at 'local logs'" -l follow
complete -c iotctl -n "__iotctl_at 'local logs'" -l help
complete -c iotctl -n "__iotctl_at 'local reset'" -l help
complete -c iotctl -n "__iotctl_at 'local devices'" -l bundles
complete -c iotctl -n "__iotctl_at 'local devices'" -l fail
complete -c iotctl -n "__iotctl_at 'local devices'" -l for
complete -c iotctl -n "__iotctl_at 'local devices'" -l offline
complete -c iotctl -n "__iotctl_at 'local devices'" -l passphrase-file
complete -c iotctl -n "__iotctl_at 'local devices'" -l reboot
complete -c iotctl -n "__iotctl_at 'local devices'" -l sdk
complete -c iotctl -n "__iotctl_at 'local devices'" -l slow
complete -c iotctl -n "__iotctl_at 'local devices'" -l trust
complete -c iotctl -n "__iotctl_at 'local devices'" -l help
complete -c iotctl -n "__iotctl_at 'local core'" -l bundles
complete -c iotctl -n "__iotctl_at 'local core'" -l for
complete -c iotctl -n "__iotctl_at 'local core'" -l thing-group
complete -c iotctl -n "__iotctl_at 'local core'" -l help
complete -c iotctl -n "__iotctl_at 'local demo'" -l clean
complete -c iotctl -n "__iotctl_at 'local demo'" -l help
complete -c iotctl -s o -l output -x -a 'table json quiet'
