package ssh

import (
	"fmt"
	"slices"

	"github.com/assenthq/assent/action"
)

// stat answers STAT and LSTAT: attributes only.
func (f *files) stat(p packet) (packet, error) {
	r := reader{b: p.body}
	name := r.path()
	if !r.end() {
		return packet{}, errSFTP
	}
	a, err := f.host.stat(f.s.run, p.typ, name)
	return packet{typ: fxAttrs, body: a.shown()}, err
}

func (f *files) fstat(p packet) (packet, error) {
	r := reader{b: p.body}
	h, _, err := f.handle(&r)
	if err != nil || !r.end() {
		return packet{}, orMalformed(err)
	}
	if h.at == "" {
		return packet{typ: fxAttrs, body: h.attrs.withSize(int64(len(h.content)))}, nil
	}
	a, err := f.host.stat(f.s.run, fxFstat, h.at)
	return packet{typ: fxAttrs, body: a.shown()}, err
}

func (f *files) opendir(p packet) (packet, error) {
	r := reader{b: p.body}
	name := r.path()
	if !r.end() {
		return packet{}, errSFTP
	}
	if len(f.handles) >= maxHandles {
		return packet{}, failure("too many files are open")
	}
	answer, err := f.host.want(f.s.run, fxOpendir, putString(nil, name))
	if err != nil {
		return packet{}, err
	}
	at, err := handleOf(answer)
	if err != nil {
		return packet{}, err
	}
	return f.add(&file{path: name, dir: true, at: at}), nil
}

// names answers READDIR, REALPATH and READLINK. Names are text from the host: masked and counted.
func (f *files) names(p packet) (packet, error) {
	r := reader{b: p.body}
	var body []byte
	if p.typ == fxReaddir {
		h, _, err := f.handle(&r)
		if err != nil || !r.end() {
			return packet{}, orMalformed(err)
		}
		if !h.dir {
			return packet{}, failure("it is not a directory")
		}
		body = putString(nil, h.at)
	} else {
		name := r.path()
		if !r.end() {
			return packet{}, errSFTP
		}
		body = putString(nil, name)
	}
	answer, err := f.host.want(f.s.run, p.typ, body)
	if err != nil {
		return packet{}, err
	}
	return f.shown(answer)
}

func (f *files) shown(answer packet) (packet, error) {
	list, err := namesOf(answer)
	if err != nil {
		return packet{}, err
	}
	if err := f.look.Count(0, int64(len(answer.body))); err != nil {
		return packet{}, refusal(err)
	}
	for i := range list {
		list[i].name = slices.Clone(f.look.Text(list[i].name))
		list[i].long = slices.Clone(f.look.Text(list[i].long))
	}
	return packet{typ: fxName, body: nameBody(list)}, nil
}

// entry answers REMOVE, RMDIR and MKDIR.
func (f *files) entry(p packet) (packet, error) {
	r := reader{b: p.body}
	name := r.path()
	var asked attrs
	if p.typ == fxMkdir {
		asked = r.attrs()
	}
	if !r.end() {
		return packet{}, errSFTP
	}
	whole, dir, err := f.place(name)
	if err != nil {
		return packet{}, err
	}
	body := append(putString(nil, whole), asked.raw...)
	verb, kind := "remove", action.DataDelete
	if p.typ == fxMkdir {
		verb, kind = "make directory", action.DataWrite
	}
	return f.change(f.s.fileAction(verb, whole, append([]action.Kind{kind}, writeKinds(whole)...), body), p.typ, body, dir)
}

// twoPaths answers RENAME and SYMLINK.
func (f *files) twoPaths(p packet) (packet, error) {
	r := reader{b: p.body}
	first, second := r.path(), r.path()
	if !r.end() {
		return packet{}, errSFTP
	}
	if p.typ == fxRename {
		return f.rename(p.typ, nil, "rename", first, second)
	}
	// OpenSSH takes target and link, the draft says link and target: both are judged as either.
	one, dir, err := f.place(second)
	if err != nil {
		return packet{}, err
	}
	body := putString(putString(nil, first), one)
	kinds := []action.Kind{action.DataWrite}
	for _, q := range []string{first, one} {
		kinds = append(kinds, writeKinds(q)...)
		kinds = append(kinds, readKinds(q)...)
	}
	a := f.s.fileAction("link", one, kinds, body)
	a.Statement = fmt.Sprintf("make %s a link to %s", one, first)
	return f.change(a, p.typ, body, dir)
}

// rename judges what is moved by what it is and by what it becomes: a credential
// under another name would be read as something else. head begins the body that is sent.
func (f *files) rename(typ byte, head []byte, verb, from, to string) (packet, error) {
	old, oldDir, err := f.place(from)
	if err != nil {
		return packet{}, err
	}
	now, nowDir, err := f.place(to)
	if err != nil {
		return packet{}, err
	}
	kinds := []action.Kind{action.DataWrite}
	for _, list := range [][]action.Kind{readKinds(old), writeKinds(old), writeKinds(now)} {
		kinds = append(kinds, list...)
	}
	if f.isDirectory(f.s.run, old) {
		kinds = append(kinds, action.Unknown) // what is in it comes to lie elsewhere
	}
	if _, err := f.host.stat(f.s.run, fxLstat, now); err == nil {
		kinds = append(kinds, action.DataDelete)
	}
	body := putString(putString(head, old), now)
	a := f.s.fileAction(verb, now, kinds, body)
	a.Statement, a.Objects = fmt.Sprintf("%s %s\n    to %s", verb, old, now), []string{old, now}
	a.Title = verb + " " + old + " to " + now + f.s.where()
	return f.change(a, typ, body, oldDir, nowDir)
}

// setstat answers SETSTAT and FSETSTAT. Times, and the mode that a file was opened with,
// belong to a write that was permitted.
func (f *files) setstat(p packet) (packet, error) {
	r := reader{b: p.body}
	if p.typ == fxSetstat {
		name, asked := r.path(), r.attrs()
		if !r.end() {
			return packet{}, errSFTP
		}
		real, err := f.host.realpath(f.s.run, name)
		if err != nil {
			return packet{}, err
		}
		body := append(putString(nil, real), asked.raw...)
		return f.change(f.attrsAction(real, asked, body), p.typ, body, real)
	}
	h, _, err := f.handle(&r)
	asked := r.attrs()
	switch {
	case err != nil || !r.end():
		return packet{}, orMalformed(err)
	case h.at == "" || h.dir:
		return packet{}, failure("it is not open for writing")
	}
	body := append(putString(nil, h.at), asked.raw...)
	if h.write && asked.flags&(attrOwner|attrExtended) == 0 && (asked.flags&attrMode == 0 || asked.mode&0o7777 == h.mode) {
		_, err := f.host.want(f.s.run, p.typ, body)
		return ok(), err
	}
	a := f.attrsAction(h.path, asked, append(putString(nil, h.path), asked.raw...))
	return f.change(a, p.typ, body)
}

func (f *files) attrsAction(p string, asked attrs, payload []byte) *action.Action {
	kinds := append([]action.Kind{action.DataWrite}, writeKinds(p)...)
	what := ""
	if asked.flags&attrSize != 0 {
		what += fmt.Sprintf("; size %d", asked.size)
	}
	if asked.flags&attrOwner != 0 {
		kinds = append(kinds, action.PrivilegeChange)
		what += fmt.Sprintf("; owner %d, group %d", asked.uid, asked.gid)
	}
	if asked.flags&attrMode != 0 {
		kinds = append(kinds, action.PrivilegeChange)
		what += fmt.Sprintf("; mode %04o", asked.mode&0o7777)
	}
	if asked.flags&attrTimes != 0 {
		what += "; times"
	}
	if asked.flags&attrExtended != 0 {
		kinds = append(kinds, action.Unknown)
		what += "; extended attributes"
	}
	a := f.s.fileAction("change attributes", p, kinds, payload)
	a.Statement += what
	return a
}

// extended answers the extensions that were offered.
func (f *files) extended(p packet) (packet, error) {
	r := reader{b: p.body}
	name := string(r.text())
	if _, has := f.host.ext[name]; !has || !slices.Contains(extensions, name) {
		f.s.c.refused("an SFTP extension that is on no list")
		return packet{}, &statusError{status{fxUnsupported, []byte("assent: this extension is not served here")}}
	}
	head := putString(nil, name)
	switch name {
	case "posix-rename@openssh.com", "hardlink@openssh.com":
		first, second := r.path(), r.path()
		if !r.end() {
			return packet{}, errSFTP
		}
		verb := "rename"
		if name[0] == 'h' {
			verb = "link"
		}
		return f.rename(p.typ, head, verb, first, second)
	case "lsetstat@openssh.com":
		target, asked := r.path(), r.attrs()
		if !r.end() {
			return packet{}, errSFTP
		}
		whole, dir, err := f.place(target)
		if err != nil {
			return packet{}, err
		}
		body := append(putString(head, whole), asked.raw...)
		return f.change(f.attrsAction(whole, asked, body), p.typ, body, dir)
	case "fsync@openssh.com", "fstatvfs@openssh.com":
		h, _, err := f.handle(&r)
		if err != nil || !r.end() {
			return packet{}, orMalformed(err)
		}
		if h.at == "" {
			return ok(), nil
		}
		return f.asked(packet{typ: p.typ, body: putString(head, h.at)})
	case "limits@openssh.com":
		if !r.end() {
			return packet{}, errSFTP
		}
		return f.asked(packet{typ: p.typ, body: head})
	}
	target := r.path() // statvfs, expand-path
	if !r.end() {
		return packet{}, errSFTP
	}
	return f.asked(packet{typ: p.typ, body: putString(head, target)})
}

// asked passes on an answer that is names or numbers.
func (f *files) asked(p packet) (packet, error) {
	answer, err := f.host.want(f.s.run, p.typ, p.body)
	switch {
	case err != nil:
		return packet{}, err
	case answer.typ == fxStatus:
		return ok(), nil
	case answer.typ == fxName:
		return f.shown(answer)
	case len(answer.body) > 88: // of statvfs; limits has 32
		return packet{}, fmt.Errorf("%w: an answer that is too long", errSFTP)
	}
	return packet{typ: fxExtendedReply, body: answer.body}, nil
}
