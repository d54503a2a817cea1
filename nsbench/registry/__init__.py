"""Plugins: which are installed, what they provide, the digest of their code, and what of it runs.

registry       the plugins, and what they provide by kind and name
loading        specs become components, names become objects
hooks          the hooks that a plugin may implement
plugin_files   plugins that are one file
trial_import   a plugin's import, tried in a child process before it is imported here
process_state  what components share in their process, which each must leave alone
aspects        the aspects of that state
source         the digest of a component's code
syntax         source files as digests read them
libraries      installed libraries whose versions are in keys
imports        Python's imports, as nsbench watches them
bytecode       byte code that cannot be stale
kernels        Numba's compiled kernels, which cannot be stale either
opened         what is opened and imported while something is made
"""
