package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// debVersion is a version in Debian's order: v1.2.3-rc.1 stands before v1.2.3 (deb-version(7)).
func debVersion(v string) string {
	v = strings.TrimPrefix(v, "v")
	v = strings.Replace(v, "-", "~", 1)
	return strings.ReplaceAll(v, "-", ".")
}

func debName(version, arch string) string {
	return fmt.Sprintf("assent_%s_%s.deb", debVersion(version), arch)
}

// deb writes a Debian package. It is set up from the checkout's packaging/; owners and modes stand here.
func (r *release) deb(w io.Writer, t target, work string, notices, bom []byte) error {
	doc := map[string][]byte{"THIRD-PARTY.txt": notices, "assent.cdx.json": bom}
	for name, b := range doc {
		if err := os.WriteFile(filepath.Join(work, name), b, 0o600); err != nil {
			return err
		}
	}
	from := func(name string) string { return filepath.Join(r.source, "packaging", name) }
	put := func(dst, src, kind string, mode fs.FileMode) *files.Content {
		return &files.Content{Source: src, Destination: dst, Type: kind, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode, MTime: r.time}}
	}
	info := &nfpm.Info{
		Name: "assent", Arch: t.arch, Platform: "linux", Version: debVersion(r.version), VersionSchema: "none",
		Section: "net", Priority: "optional", Maintainer: "The Assent authors <assent@localhost>",
		Homepage: "https://" + module, License: "Apache-2.0", DisableGlobbing: true, MTime: r.time,
		Description: "gate between AI agents and the systems they act on\nAssent decides, masks, and pauses for people's approval what agents ask of\ndatabases, hosts, clouds and APIs, and keeps a tamper-evident log of it.",
		Overridables: nfpm.Overridables{
			Depends:    []string{"systemd | systemd-standalone-sysusers | adduser"},
			Recommends: []string{"ca-certificates"},
			Umask:      0o022,
			Contents: files.Contents{
				put("/usr/lib/systemd/system/assent.service", from("systemd/assent.service"), files.TypeFile, 0o644),
				put("/usr/lib/sysusers.d/assent.conf", from("systemd/assent.sysusers"), files.TypeFile, 0o644),
				put("/usr/share/doc/assent/copyright", filepath.Join(r.source, "LICENSE"), files.TypeFile, 0o644),
				put("/usr/share/doc/assent/THIRD-PARTY.txt", filepath.Join(work, "THIRD-PARTY.txt"), files.TypeFile, 0o644),
				put("/usr/share/doc/assent/assent.cdx.json", filepath.Join(work, "assent.cdx.json"), files.TypeFile, 0o644),
				put("/usr/share/doc/assent/examples/assent.yaml", from("systemd/assent.yaml"), files.TypeFile, 0o644),
				put("/etc/default/assent", from("deb/default"), files.TypeConfig, 0o640),
				// What lies in it may be secret, and its group comes with postinst.
				put("/etc/assent", "", files.TypeDir, 0o700),
			},
			Scripts: nfpm.Scripts{PostInstall: from("deb/postinst"), PreRemove: from("deb/prerm"), PostRemove: from("deb/postrm")},
			Deb:     nfpm.Deb{Compression: "xz"},
		},
	}
	for _, p := range r.programs {
		info.Contents = append(info.Contents, put("/usr/bin/"+p, filepath.Join(work, p), files.TypeFile, 0o755))
	}
	return deb.Default.Package(nfpm.WithDefaults(info), w)
}
