/**
 * completion: what may come next on a command line. The scripts hand what has been typed back to the program (`cairn __complete`) and
 * show what it answers; so there is one place that knows commands and options, `--help`'s own.
 */
export const SHELLS = ['bash', 'zsh', 'fish'] as const

export type Shell = (typeof SHELLS)[number]

// Each script runs the program as it was typed, and takes what it prints as it is: nothing in it is expanded or run. Under the name
// 'borg' the program is completed where that is a link to it, and not Borg itself.

const bash = (isBorg: boolean): string => `# bash completion for cairn: source <(cairn completion bash)
_cairn() {
  local program=\${COMP_WORDS[0]/#\\~\\//$HOME/} kind= open= line
  type -P -- "$program" >/dev/null || program=cairn
  COMPREPLY=()
  {
    read -r kind open
    while IFS= read -r line; do
      [ -z "$line" ] || COMPREPLY+=("$line")
    done
  } <<<"$({ "$program" __complete bash -- "\${COMP_LINE:0:COMP_POINT}" "$2" </dev/null; } 2>/dev/null)"
  case $kind in
    files) ;;
    folders) compopt -o dirnames +o default 2>/dev/null ;;
    *) compopt +o default 2>/dev/null ;;
  esac
  [ -z "$open" ] || compopt -o nospace 2>/dev/null
}
complete -o default -F _cairn cairn
if ${isBorg ? 'true' : '[[ $(type -P borg) -ef $(type -P cairn) ]]'}; then
  complete -o default -F _cairn borg
fi
`

const zsh = (isBorg: boolean): string => `#compdef cairn
# zsh completion for cairn: source <(cairn completion zsh)
_cairn() {
  local program=\${\${(Q)words[1]}/#\\~\\//$HOME/} current=$PREFIX line state word description separator
  [[ -n $compstate[quote] ]] || current=\${(Q)PREFIX}
  whence -p -- $program >/dev/null || program=cairn
  local -a answer first finished open
  answer=("\${(@f)$({ $program __complete zsh -- "\${(@Q)words[2,CURRENT-1]}" "$current" </dev/null; } 2>/dev/null)}")
  first=(\${=answer[1]})
  for line in "\${(@)answer[2,-1]}"; do
    state=\${line%%$'\\t'*} line=\${line#*$'\\t'}
    word=\${line%%$'\\t'*} description=\${line#*$'\\t'}
    word=\${\${word//\\\\/\\\\\\\\}//:/\\\\:}
    [[ -z $description ]] || word+=:$description
    if [[ $state = open ]]; then open+=("$word"); else finished+=("$word"); fi
  done
  for separator in "\${(@)first[2,-1]}"; do
    case $separator in
      ,) compset -P '*,' ;;
      *) compset -P 1 "*$separator" ;;
    esac
  done
  local found=1
  (( $#finished )) && _describe -t values value finished && found=0
  (( $#open )) && _describe -t values value open -S '' && found=0
  (( found )) || return 0
  case $first[1] in
    files) _files ;;
    folders) _path_files -/ ;;
    *) return 1 ;;
  esac
}
if [[ $funcstack[1] = _cairn ]]; then
  _cairn "$@"
elif (( $+functions[compdef] )); then
  compdef _cairn cairn
  if ${isBorg ? 'true' : '[[ ${commands[borg]:-} -ef ${commands[cairn]:-} ]]'}; then
    compdef _cairn borg
  fi
else
  print -u2 "cairn: completion needs 'autoload -Uz compinit && compinit' before it"
fi
`

const fish = (isBorg: boolean): string => `# fish completion for cairn: cairn completion fish | source
function __cairn_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l current ''
    if test -n "$typed"
        set current (string unescape -- $typed); or return
    end
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    command -q -- $program; or set program cairn
    set -l answer (command $program __complete fish -- $words[2..-1] "$current" </dev/null 2>/dev/null)
    if set -q answer[2]
        printf '%s\\n' $answer[2..-1]
    else if contains -- "$answer" files folders
        # What fish itself would complete, for a command that it does not know.
        set -l paths (complete -C "__cairn_no_such_command $typed")
        test $answer = files; or set paths (string match -r '.*/$' -- $paths)
        printf '%s\\n' $paths
    end
end
complete -c cairn -f -a '(__cairn_complete)'
if ${isBorg ? 'true' : 'test "$(path resolve (command -s borg))" = "$(path resolve (command -s cairn))"'}
    complete -c borg -f -a '(__cairn_complete)'
end
`

/** What a shell reads to complete the commands of this program; `isBorg` when it is known to have the name `borg`. */
export const SCRIPTS: Readonly<Record<Shell, (isBorg: boolean) => string>> = { bash, zsh, fish }
