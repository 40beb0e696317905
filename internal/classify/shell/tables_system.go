package shell

// systemTools change the machine: services, users, networks, packages.
const systemTools = `
systemctl | t type p property o output n lines H host M machine root state signal s job-mode
 -H --host -M --machine --root : ?
 status|list-*|show|cat|is-*|get-default|help : read
 show-environment : read secret
 poweroff|reboot|halt|kexec|soft-reboot|rescue|emergency|suspend|hibernate|exit|isolate : infra config exec
 start|restart|reload|try-*|reload-or-* : infra exec
 stop|kill|freeze|thaw|clean : infra
 edit|set-*|import-environment|unset-environment|enable|disable|mask|unmask|link|daemon-*|preset*|reenable|revert|add-* : config infra exec
service |
 * status : read
 : infra exec
rc-service sv supervisorctl monit initctl start pm2 forever |
 status|list|ls|avail : read
 * status : read
 : infra exec
launchctl |
 list|print|blame : read
 : config exec infra
journalctl | u n t p o S U since until unit lines output b f k g grep
 --vacuum-size --vacuum-time --vacuum-files : audit delete =
 --rotate --flush --setup-keys --relinquish-var --smart-relinquish-var --sync : config
 : read
dmesg | l f
 -C -c -D -E -n --clear --read-clear --console-off --console-on --console-level : config
 : read
logrotate | s
 : write delete ?
auditctl |
 +s|l : read
 : audit
ausearch aureport ~ |
 : read
shutdown reboot poweroff halt init telinit |
 +c : config
 : infra config exec
kill pkill killall skill xkill |
 +l|L : none
 : exec
renice cpulimit | n p g u
 : config
useradd adduser newusers groupadd addgroup | c d g G u s m o p K k b e f
 : ident priv
usermod gpasswd chage groupmod groupmems | c d g G u s l L U p e f a M A r R
 : ident priv
userdel deluser groupdel delgroup |
 : ident delete
passwd chpasswd chgpasswd chfn chsh vipw vigr pwconv pwunconv |
 : ident priv
visudo |
 +c|check : read
 : priv
login newgrp sg |
 : ident session ?
crontab | u
 +l : read
 -r : config delete
 : config exec
at batch | f t q
 +l : read
 -f : R
 : config exec ?
atq ~ |
 : read
atrm |
 : config
anacron |
 : config exec
loginctl |
 list-*|show-*|*-status|session-status|user-status : read
 : config ident
timedatectl hostnamectl localectl |
 status|show|list-* : read
 set-* : config
 * : config
 : read
resolvectl systemd-resolve |
 status|query|statistics : fetch
 : network config
sysctl |
 -w --write : config
 -p --load --system : config
 @*=* : config
 : read
modprobe insmod rmmod depmod kmod |
 : config exec priv
lsmod modinfo ~ |
 : read
mount |
 * : config infra
 : read
umount swapon swapoff losetup cryptsetup mdadm lvm lvcreate lvremove lvextend lvresize vgcreate vgremove pvcreate pvremove parted fdisk gdisk sfdisk cfdisk sgdisk partprobe wipefs blkdiscard resize2fs tune2fs e2fsck btrfs zfs zpool hdparm nvme mkswap debugfs dmsetup |
 +l|list|L|version|V : read
 list|show|status|get : read
 : infra delete
iptables ip6tables iptables-restore ip6tables-restore nft ebtables arptables ipset | t A I D L N s d p j
 -A -I -D -N : network
 +L|list|S : read
 list : read
 : network
iptables-save ip6tables-save ~ |
 : read
ufw firewall-cmd pfctl ipfw |
 status|show : read
 +state|list-all|list-ports|list-services|get-default-zone|s : read
 : network
ip | n f
 netns exec * : X ? 
 netns add|delete|del : network
 a|addr|address|l|link|r|route|rule|neigh|n|maddr|tunnel|netns show|list|ls|get|* @show : read
 a|addr|address|l|link|r|route|rule|neigh|n|maddr|tunnel|netns show|list|ls|get|s : read
 a|addr|address|l|link|r|route|rule|neigh|n|maddr|tunnel|netns * : network
 a|addr|address|l|link|r|route|rule|neigh|n|maddr|tunnel|netns : read
 : network
ifconfig route arp iwconfig brctl bridge tc ethtool |
 * * : network
 * : read
 : read
nmcli wg wg-quick openvpn tailscale zerotier-cli cloudflared ngrok chisel frpc bore localtunnel lt |
 status|device|general|show : read
 version : none
 : network session
ping ping6 traceroute tracepath mtr | c i W w s t I m n q
 : fetch H
dig host nslookup drill whois | t p b k y f
 -f : R
 : DIG
nmap masscan zmap nikto sqlmap hydra ffuf gobuster | 
 : fetch exec ?
tcpdump tshark dumpcap wireshark ngrep |
 : read secret ?
apt apt-get aptitude | o t c
 -o --option -c --config-file : ? =
 list|show|search|policy|depends|rdepends|changelog|madison|moo|help : read
 update : fetch config
 remove|purge|autoremove|autopurge : config delete
 clean|autoclean|check : write
 * : fetch config exec
apt-cache dpkg-query apt-file apt-config ~ | f
 : read
apt-key add-apt-repository apt-add-repository |
 list : read
 : config priv fetch
apt-mark |
 show* : read
 : config
dpkg rpm |
 +l|L|s|S|p|c|I|C|list|listfiles|status|search|print-avail|verify|get-selections : read
 +q|qa|qi|ql|V : read
 : config exec
yum dnf microdnf zypper |
 list|search|info|repolist|provides|check-update|history : fetch
 * : fetch config exec
apk |
 info|list|search|policy|version : read
 del : config delete
 * : fetch config exec
pacman yay paru |
 +Q|Qi|Ql|Ss|Si : read
 : fetch config exec
brew port snap flatpak winget choco scoop nix nix-env nix-shell nix-build guix conda mamba micromamba asdf mise pkg pkgin emerge | 
 list|ls|info|search|leaves|deps|outdated|doctor|config|--version|desc|uses|home|env : read
 which|where|current : read
 uninstall|remove|rm|cleanup|autoremove : config delete
 * : fetch config exec
update-alternatives update-rc.d alternatives dpkg-reconfigure ldconfig locale-gen update-initramfs grub-install update-grub efibootmgr |
 : config
setenforce semanage setsebool restorecon aa-complain aa-disable apparmor_parser |
 : priv config
getenforce sestatus aa-status lsns ~ |
 : read
capsh getcap getpcaps | 
 +print : read
 * : read
 : read
getent |
 shadow|gshadow : read secret
 hosts|ahosts* : fetch
 : read
defaults |
 read* : read
 : config
osascript open xdg-open |
 : exec ?
hostid tzselect lsb_release sw_vers system_profiler ~ | n
 : read
hwclock |
 +r|show : read
 : config
ntpdate chronyc |
 sources|tracking|activity : read
 : config
mail mailx mutt sendmail s-nail swaks msmtp ssmtp neomutt | s c b r a S q u
 -a -q --attach : R export
 -A : =
 : msg MAIL
notify-send wall write mesg logger slack-cli telegram-send ntfy apprise | t p i u
 : msg
tmux screen byobu zellij dtach abduco expect autoexpect tmate | t s n c L S
 ls|list-*|show-*|info|capture-pane : read
 +ls|list : read
 : exec ?
history |
 -c -d -r -w -a -n : delete
 : read secret
ssh-keygen | f t b C N P
 +l|F : R
 : write secret
ssh-add ssh-agent ssh-copy-id keychain |
 +l|L : read
 : secret ident
ssh-keyscan | p t T
 : fetch H
gpg gpg2 gpgsm | r u o local-user output recipient homedir keyserver default-key
 +list-keys|k|fingerprint|list-public-keys|verify : read
 -o --output : W
 --export-secret-keys --export-secret-subkeys -d --decrypt : secret
 --delete-keys --delete-secret-keys --delete-secret-and-public-key : delete secret
 --recv-keys --send-keys --search-keys --refresh-keys --fetch-keys : fetch
 : secret write
pass gopass op bw lpass keepassxc-cli secret-tool security chamber doppler infisical akeyless teller aws-vault age envchain | account vault format
 ls|list|--version|version|whoami|status|help|find|search : read
 signin|login : session secret
 * : secret
age age-keygen rage minisign signify | o i r R p
 -d --decrypt : secret
 -o --output : W
 : secret R
sops |
 +d|decrypt : secret R
 -d --decrypt --extract : secret
 -i --in-place : write
 decrypt|exec-env|exec-file|edit : secret
 : write secret
openssl | in out key passin pass inkey CA CAkey newkey days subj connect servername
 -in -inkey -key -CAkey : R
 version|list|ciphers|dgst|rand|prime|speed|errstr|sha*|md5 : read
 x509|verify|crl|asn1parse : read
 s_client|ocsp : fetch
 s_server : network export
 : secret ?
certbot acme.sh step mkcert cfssl |
 certificates|show : read
 : fetch secret config
vault bao | address namespace format field mount path version
 status|version|path-help|print : read
 kv list : read
 kv get : secret
 read|unwrap|list : secret
 kv metadata get|list : read
 kv put|patch : secret write
 kv delete|destroy|undelete|metadata : secret delete
 write|delete : secret write
 login|token : secret ident
 policy read|list : read
 policy|auth|secrets|audit|operator|namespace|lease|plugin : priv config secret
 audit list : read
 : secret ?
`
