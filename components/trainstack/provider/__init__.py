"""The custom dynamic provider: one thin class a resource, from Pulumi's verbs to the lifecycle.

These classes run in Pulumi's dynamic provider process, which loads them by name. They keep no state, do I/O in `check`
(what a resource is now) and in the verbs that act, never in `diff`.

What only a verb that acts needs is imported inside it, for `preview` to be quick.
"""
