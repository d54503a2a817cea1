"""`python -m nsbench`: the command line."""

from nsbench.commands.main import main

main()
