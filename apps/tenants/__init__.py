"""Who: people, workspaces, and what keeps workspaces apart.

The lock       context (who is acting), backend/ (tells the database), owned (a model's base), rls (migration operations
               for policies), checks (what must be true before serving), threads, platform (operators see every tenant)
The door       hosts (which names are ours), middleware and sockets (find the workspace, let members in), http (what a
               request carries), second_factor, permissions (what a role may do), features (what
               a plan includes), doors (shuts open sockets),
               api_access and api_keys (let programs in), context_processors
People         signup, forms, accounts and account_views, authenticators, sessions, session_store; members, invitations,
               member_views
A workspace    models, change and settings_views, domains, suspend, audit and deeds (the log, and how it reads),
               audit_views; exporting and archive, leaving, traces, leaving_views
Background     tasks, once (what they do outside is done once), dead_letters and dead_letter_admin (what was given up),
work           queue_weight, queue_admin
Models of AI   flags and flag_views (switches); provider_keys, vault/ (what is encrypted, and with what) and outbound/
               (calls to addresses that a workspace named)
Files          uploads/ (reads what strangers upload, in processes that can be killed), spreadsheet (CSV to take out)
A house of     silo and move (promote, demote), migrate (which schemas, and as whom)
its own
Sitemaps       views (the hub's), workspace_urls (a workspace's), workspace_admin and admin, apps
"""
