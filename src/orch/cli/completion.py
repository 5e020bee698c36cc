"""``orch completion``: a script that teaches a shell to complete; the knowledge itself is in ``complete``."""

from __future__ import annotations

from orch.errors import nearest, usage

from .args import Arguments, Command
from .output import say

BASH = """\
_orch() {
    local IFS=$'\\n'
    local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
    COMPREPLY=($(orch __complete "${words[@]}" 2>/dev/null | cut -f1))
}
complete -o default -F _orch orch
"""

ZSH = """\
#compdef orch
_orch() {
    local -a found
    local line
    for line in "${(@f)$(orch __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n $line ]] && found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done
    if (( $#found )); then _describe -t orch orch found; else _files; fi
}
if [[ $funcstack[1] == _orch ]]; then _orch "$@"; else compdef _orch orch; fi
"""

FISH = """\
function __orch_complete
    set -l words (commandline -opc) (commandline -ct)
    orch __complete $words[2..-1] 2>/dev/null
end
function __orch_has_candidates
    test (count (__orch_complete)) -gt 0
end
complete -c orch -n __orch_has_candidates -f -a '(__orch_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

COMMAND = Command(
    name="completion",
    words="bash|zsh|fish",
    options=(),
    least=1,
    most=1,
    text="""\
  bash   source <(orch completion bash)                            in ~/.bashrc
  zsh    source <(orch completion zsh)                             in ~/.zshrc, behind compinit
  fish   orch completion fish > ~/.config/fish/completions/orch.fish""",
)


def main(args: Arguments) -> int:
    """Print the script."""
    shell = args.words[0]
    if shell not in SCRIPTS:
        guess = nearest(shell, SCRIPTS)
        hint = f"did you mean {guess}?" if guess else "orch knows bash, zsh and fish"
        raise usage(f"no completion for {shell!r}", hint)
    from . import main as called

    say(SCRIPTS[shell].rstrip("\n").replace("orch", called.face.name))
    return 0
