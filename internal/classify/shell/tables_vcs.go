package shell

// vcsTools work with versions and their hosts.
const vcsTools = `
git | C c n m b B git-dir work-tree namespace exec-path format pretty author date since until grep G L F config-env super-prefix t output-indicator
 -c --config-env : GITCONFIG
 -C : OWNED =
 --exec-path : ? 
 --git-dir --work-tree : ? =
 --upload-pack --receive-pack --exec --ext-diff --open-files-in-pager --textconv --extcmd -x --tool --gpg-sign --upload-archive --remote -O : ?
 --output : W
 --contents : R
 status|diff|log|show|blame|annotate|shortlog|describe|rev-parse|rev-list|ls-files|ls-tree|cat-file|name-rev|merge-base|diff-tree|diff-index|diff-files|range-diff|cherry|whatchanged|count-objects|for-each-ref|show-ref|show-branch|check-ignore|check-attr|check-ref-format|check-mailmap|var|version|help|grep|fsck|verify-commit|verify-tag|verify-pack|get-tar-commit-id|patch-id|stripspace|column : GITREAD
 --version|--help : none
 ls-remote : fetch
 add|stage : routine own
 stash list|show : read
 stash drop|clear : delete
 stash : write undo
 branch +D|delete|d|force|f|M|m|move : code delete
 branch +set-upstream-to|u|unset-upstream|edit-description : config undo
 branch +show-current|list|l|a|all|r|remotes|v|vv|contains|merged|no-merged|points-at|no-contains : read
 branch * : code undo
 branch : read
 tag +d|delete : code delete
 tag +l|list|n|contains|merged|points-at|v|verify : read
 tag * : code undo
 tag : read
 remote show|get-url : read
 remote update|prune : fetch
 remote add|set-url|rename|remove|rm|set-head|set-branches : config code
 remote : read
 config +get|get-all|get-regexp|l|list|get-urlmatch|show-origin|get-color : GITCONFREAD
 config get|list : GITCONFREAD
 config : GITCONF
 worktree list : read
 worktree remove|prune : delete
 worktree : write undo
 submodule status|summary : read
 submodule foreach : GITFOREACH
 submodule : fetch code exec
 notes list|show : read
 notes : code
 reflog show|list|exists : read
 reflog expire|delete : delete
 reflog : read
 bisect run : X2 exec code
 bisect log|view|visualize : read
 bisect : code undo
 bundle verify|list-heads : read
 bundle : export write
 archive : export
 format-patch : write
 clone : fetch code H
 fetch : fetch
 pull : fetch code
 push +dry-run|n : fetch
 push +force|f|force-with-lease|mirror|delete|d|prune|force-if-includes : GITPUSHF
 push @+* : GITPUSHF
 push @:* : GITPUSHF
 push : GITPUSH
 send-email|request-pull|imap-send : msg
 commit +dry-run : read
 commit +amend : code
 commit|merge|cherry-pick|revert|am|apply|rebase|pull : code undo
 checkout|switch : code write
 restore +worktree|W : write delete
 restore +staged|S : routine own
 restore : write delete
 reset +hard|merge|keep : code delete
 reset : routine own
 rm +cached : code undo
 rm : delete code
 mv : write code undo
 clean +n|dry-run : read
 clean : delete
 init : write undo
 credential fill|get : secret
 credential* : secret config
 filter-branch|filter-repo|replace|fast-import|update-ref|symbolic-ref|update-index|read-tree|write-tree|commit-tree|hash-object|mktree|pack-refs|repack|gc|prune|maintenance|rerere|sparse-checkout|lfs : code delete
 daemon|http-backend|instaweb|gui|citool|shell|upload-pack|receive-pack|serve : export exec
 : exec ?
gh glab hub tea | R repo L limit json q jq template t b body title label H head B base F body-file hostname s state f field
 --hostname : =
 auth status +t|show-token : secret
 auth status : read
 auth token : secret
 auth : ident secret
 config get|list : read
 config|alias|extension : config exec
 api : GHAPI
 secret list|ls : read
 secret|variable set|delete|remove : secret config
 variable get|list : read
 pr|mr list|view|status|diff|checks|show|ls|files : fetch
 pr|mr checkout|co : fetch code
 pr|mr merge|accept : code deploy
 pr|mr create|new : code msg
 pr|mr close|reopen|edit|ready|lock|unlock|update-branch|update|rebase : code
 pr|mr comment|review|note|approve : msg code
 issue|incident list|view|status|ls|show : fetch
 issue|incident comment|create|note|new : msg
 issue|incident delete : msg delete
 issue|incident : msg
 discussion : msg
 run|ci|pipeline list|view|watch|status|trace|ls|get|lint : fetch
 run|ci|pipeline download : fetch write
 run|ci|pipeline delete|cancel : delete exec
 run|ci|pipeline|workflow : exec deploy
 workflow list|view : fetch
 release list|view|ls : fetch
 release download : fetch write
 release delete : deploy delete
 release : deploy code
 repo|project list|view|ls|search : fetch
 repo|project clone : fetch code
 repo|project delete|archive : destroy delete
 repo|project create|fork|sync|rename|edit|transfer|mirror|set-default|deploy-key|autolink : code config
 repo|project : code config
 gist list|view : fetch
 gist : export code
 ssh-key|gpg-key|deploy-key list : fetch
 ssh-key|gpg-key|deploy-key : ident priv
 codespace|cs ssh|code|cp|jupyter|ports : exec session
 codespace|cs list|view|logs : fetch
 codespace|cs : infra
 browse|search|status|ruleset|org|label|cache|attestation|license : fetch
 copilot|models|agent-task : llm exec
 completion|version|help|--version|--help : none
 : exec ?
hg svn bzr fossil cvs p4 darcs jj sl | R r m
 status|st|diff|log|annotate|blame|cat|info|identify|id|summary|show|heads|tags|branches|root|ls|list|opened|describe|changes|paths : read
 commit|ci|push|submit|dcommit|import|sync : code
 clone|checkout|co|pull|update|up : fetch code
 : code ?
glow mdcat delta difft tig gitk lazygit ~ |
 : read
tig gitk lazygit |
 : exec
`
