"""The store of artifacts, each by the digest of what it was made from.

key           keys: what an artifact is made from, and the digest of that
manifest      manifests: the description of an artifact, and its verification
store         artifacts by key: found, written whole, moved aside
inventory     the contents of a store, and which of them may be removed
node          the workspace that a node keeps for a run whose own it does not see
transfer      artifacts sent from one store to another
files         files written whole or not at all
checked       files of unfinished work, with a checksum at their end
locks         locks between processes
owner         the process that a draft or a lock belongs to
workspace     the folders and files of a workspace
contents      the digests of files that others own, remembered
environment   machine, versions, variables and commit with which numbers are made
cores         the cores that a process may use
memory        the memory that a process may use
cgroups       the control groups of a process
variables     the environment variables on which numbers depend
checkout      the commit of a checkout, and whether files differ from it
sources       the files behind the digests of code
source_tree   the code that artifacts were made with, written out
"""
