"""The command line: a file a command, its options with it.

main                the table of commands, and how refusals are said
options, screen     what commands share: options and the session behind them; what is written to a terminal
progress            what is running, how far it is, how long still
run, fresh, plan, prepare, export, list, info, trial, plugins, export_cases, score, new, check, track, compare,
report, ui, cache, schema
                    a command each; trial is `info trial`, fresh is `run --fresh`
templates/          what `nsbench new` writes
"""
