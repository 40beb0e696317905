package shell

// fileTools read, write and show files. Their options are those of GNU and BSD.
const fileTools = `
cat |
 : PASS
bat batcat | l H r m language line-range highlight-line style theme
 --pager --source --target --map-syntax --config-file --diff-context : ? =
 cache : write
 : R
tac nl rev fold fmt expand unexpand column pr od hexdump hd strings cut tr comm join paste cmp look zcat bzcat xzcat zstdcat gzcat basenc ~ | n w s b d f c t A j N l L m v e i g p
 : R
head tail ~ | n c
 : R
base32 base64 ~ | w b
 -o --output : W
 : R
uudecode |
 : write ?
less more most pg |
 -o -O --log-file --LOG-FILE : W
 -k --lesskey-src --lesskey-file --lesskey-content : ?
 @+[!-.:-EH-~]* : ?
 : R
diff colordiff ~ | C U I x X W
 -r --recursive : read
 : RT
diff3 sdiff | C U I x X
 -o --output : W
 --diff-program : ?
 : R
sort | k t S parallel batch-size field-separator key buffer-size T temporary-directory
 -o --output : W
 --compress-program : ?
 --files0-from : R ?
 : R
xxd | c g l o s
 -r : write
 : R W2
iconv | f t from-code to-code
 -o --output : W
 : R
column ~ | t s o c
 : R
uniq | f s w
 : R W2
split csplit | a b l n C
 : write R
shuf ~ | i n e
 -o --output : W
 : R
grep egrep fgrep zgrep rg ugrep ag ack | e m A B C D d g t T j M max-count after-context before-context context regexp glob type type-not include exclude exclude-dir color colour binary-files directories label include-dir max-depth sort sortr threads encoding max-columns ignore-file
 -f --file : R
 --pre --pre-glob --hostname-bin --pager --open-files-in-pager : ?
 -r -R --recursive --dereference-recursive : read
 : GREP
ls dir vdir exa eza lsd tree ~ | I w T L P ignore color time-style sort
 -o : read
 : read
tree | L P I
 -o : W
 -R : write
 : read
stat file du df lsblk findmnt realpath readlink basename dirname pathchk md5sum sha1sum sha224sum sha256sum sha384sum sha512sum b2sum cksum sum shasum wc namei getfacl lsattr nproc free uptime w who whoami id groups uname tty logname users last lastlog locale getconf lscpu lsmem lspci lsusb vmstat top htop btop iostat mpstat pgrep pstree pidof netstat numfmt factor cal ncal dircolors ~ | c d h s f a b B t m e u p o printf format max-depth exclude time block-size
 : read
arch ^ |
 @* : X
 : none
sar | n P f
 -o : W
 : read
ss | f F A
 -K --kill : network
 -D --diag : W
 : read
ps | o p u U g G t C s
 -E : secret
 @*e* @-* : read
 @*e* : read secret
 : read
lsof ~ | p u i c
 : read
file | m magic-file
 -C --compile : write
 -f --files-from : R
 -z -Z --uncompress : read
 : read
wait | p
 -p : ?
 : none
jobs |
 -x : ?
 : none
complete compgen compopt |
 -C -F -W -P -S -G -X : ?
 : none
test [ true false : sleep yes seq tput clear stty times getopts type hash which whereis help umask disown return break continue exit logout shift pwd pwd dirs caller suspend let fg bg expr tsort ~ | n
 : none
hostname nodename ~ | x
 -F --file -b : config
 * : config network
 : none
domainname |
 * : config network
 : none
umask ulimit |
 : none
date | d date r reference f
 -s --set : config =
 -f --file : R
 @[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]* : config
 : none
cp install gcp = | m mode g group o owner S suffix Z context t target-directory backup sparse reflink preserve no-preserve update strip-program
 --strip-program : ?
 -t --target-directory : W
 -f -r -R -a -p -v -n -u -l -s -L -P -H -d -i -x -T -D -b -c -C -q -1 --force --recursive --archive --verbose --no-clobber --dereference --no-dereference --interactive --link --symbolic-link --preserve --update --parents --no-target-directory --reflink --sparse --attributes-only --directory --one-file-system --remove-destination --backup --compare : -
 : WL
ln link symlink | t S target-directory suffix
 -t --target-directory : W
 : write WL
mv | t S target-directory suffix backup
 -t --target-directory : W
 : MV
rename prename mmv |
 : write ?
rm unlink srm trash trash-put rimraf |
 : D
rmdir |
 : D
shred wipe | n s iterations size random-source
 : D
touch mkfifo mknod | r t d m
 -r --reference : =
 : write W
mkdir | m mode Z
 : write W undo
mktemp | p suffix tmpdir
 : write
truncate | s size r reference
 : delete W
fallocate | l o length offset
 -p -d -z -c --punch-hole --collapse-range --zero-range : delete
 : W
tee |
 : TEE
sponge |
 : W
dd |
 : DD
chmod | reference
 : priv W2
chown chgrp | from reference
 : priv W2
setfacl | m x M X
 : priv W2
setcap |
 : priv W2
chattr | p v
 : config W2
patch | p i d D o r B Y z F V
 -o --output : W
 -i --input : R
 : write
ed red |
 : write ?
gzip gunzip bzip2 bunzip2 xz unxz zstd unzstd lz4 lzma compress uncompress pigz pbzip2 brotli | S b p T M
 +c|stdout|to-stdout : R
 +l|list|t|test : R
 -o : W
 : write delete R W
zip | i x P n t tt b O
 -T --test -TT --unzip-command : ?
 -m --move : delete
 -r --recurse-paths : read
 : ZIP
unzip unar | d x P
 +l|v|t|p|c|z|Z : R
 -d : W
 : write R
7z 7za 7zr |
 l|t|i : R
 * : write R
unrar |
 l|t|v|p|lb|vb : R
 * : write R
zipinfo |
 : R
ar ranlib |
 t*|p* : R2
 * : write
cpio pax |
 : write ?
md5 ~ |
 : read
printenv |
 : PRINTENV
locate plocate mlocate ~ | d n
 : read
fd fdfind | d t e E g max-depth type extension exclude size changed-within max-results c color j threads S
 -x -X --exec --exec-batch : ?
 : FD
jq yq gojq fx dasel xq htmlq pup csvcut csvlook csvgrep csvsort csvstat mlr xsv | arg argjson indent f from-file L slurpfile rawfile
 -f --from-file --slurpfile --rawfile : R
 -i --inplace --in-place -I -o --output --split-exp : write
 -L : ?
 : JQ
xmllint | xpath maxmem encode
 -o --output : W
 --noent --xinclude --loaddtd --dtdattr --dtdvalid --dtdvalidfpi --schema --relaxng --shell --path --insert : ?
 : R
markdown pandoc | f t from to
 -o --output : W
 -F --filter --lua-filter -L --pdf-engine --extract-media --template -d --defaults : ? =
 : R
 : R
`
