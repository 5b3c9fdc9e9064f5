"""The rehearsal model: a stand-in that does what a prompt says, and nothing that it doesn't.

    with serving() as base_url: ...    OpenAI's chat completions on the loopback, answered by `rehearsal-1`

The offline answerer reads no prompt, so a worsened prompt would change nothing in a gate that runs without a key. This
model reads it. Each rule that it knows (`rules`) is one behaviour, off until a sentence of the prompt asks for it: drop
"put the number of the passage in brackets" and its citations are gone, say "always answer" and it guesses. Where two
sentences disagree, the later one wins. What it works with is real: the passages as they reached it over the wire,
ranked by the offline answerer's ranking with the local embedding model. The same messages get the same answer.

What it is good for: to notice in seconds, and for nothing, that a rule was dropped, turned around or no longer reaches
the model. What it can't tell is how a real model reads the words. It knows a table of wordings, and it follows what it
recognises to the letter: whether a subtler sentence makes a real model better or worse, only
`--provider openai|anthropic` says. A rule in words that the table doesn't know counts as dropped; then either the
prompt is unclear, or the table wants those words.

It takes a JSON schema (`response_format`) and doesn't enforce it, as some servers do: so the words alone are tried.
"""

from .server import MODEL, serving

__all__ = ["MODEL", "serving"]
