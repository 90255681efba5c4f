//go:build linux

package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// diff compares one step with the one it was in an earlier build.
type diff struct {
	c      *comparison
	p      *past
	s, old *Step
	found  []*Cause
}

func (d *diff) add(c *Cause) { d.found = append(d.found, c) }

// preimage is what a key is the hash of, as package solve writes it.
type preimage struct {
	Op     json.RawMessage `json:"op"`
	Inputs []struct {
		Key     string `json:"key"`
		Content string `json:"content"`
		Name    string `json:"name"`
	} `json:"inputs"`
}

// readPreimage reads one; what is damaged or of another form has no parts.
func readPreimage(raw []byte) preimage {
	var p preimage
	_ = json.Unmarshal(raw, &p)
	return p
}

// image says how the base images differ, unless they have the same layers.
func (d *diff) image() []*Cause {
	if slices.Equal(d.s.Results, d.old.Results) {
		return nil
	}
	name := func(s *Step) (ref, sum string) {
		_, ref, _ = strings.Cut(s.Source, "://")
		ref, sum, _ = strings.Cut(ref, "@")
		return ref, sum
	}
	newRef, newSum := name(d.s)
	oldRef, oldSum := name(d.old)
	if newRef != oldRef {
		return []*Cause{{Kind: CauseBase, What: "of " + quote(d.s.instruction()), From: oldRef, To: newRef}}
	}
	return []*Cause{{Kind: CauseBase, What: newRef, From: oldSum, To: newSum}}
}

func (d *diff) remote() {
	now, before := readPreimage(d.s.Definition), readPreimage(d.old.Definition)
	switch {
	case d.s.Source != d.old.Source:
		d.add(&Cause{Kind: CauseInstruction, From: d.old.Source, To: d.s.Source})
	case string(now.Op) != string(before.Op):
		d.add(&Cause{Kind: CauseRemote, What: d.s.Source})
	}
}

// settings are the parts of an exec step's key that are neither command nor
// environment, in the order in which they are told.
var settings = []struct{ field, words string }{
	{"Cwd", "the working directory"},
	{"User", "the user"},
	{"Platform", "the platform"},
	{"Network", "the network"},
	{"Security", "the security mode"},
	{"Hostname", "the host name"},
	{"Hosts", "the extra hosts"},
	{"SecretEnv", "the secrets in the environment"},
	{"ValidExitCodes", "the exit codes that count as success"},
}

func (d *diff) exec() {
	var now, before map[string]json.RawMessage
	_ = json.Unmarshal(readPreimage(d.s.Definition).Op, &now)
	_ = json.Unmarshal(readPreimage(d.old.Definition).Op, &before)
	if string(now["Args"]) != string(before["Args"]) {
		d.instruction(words(before["Args"]), words(now["Args"]))
	}
	d.env(list(before["Env"]), list(now["Env"]))
	for _, f := range settings {
		if a, b := string(before[f.field]), string(now[f.field]); a != b {
			d.add(&Cause{Kind: CauseSetting, What: f.words, From: plain(a), To: plain(b)})
		}
	}
	d.mounts(before["Mounts"], now["Mounts"])
}

// instruction adds that the text changed; from and to are said where the
// Dockerfile's own lines are the same.
func (d *diff) instruction(from, to string) {
	if d.s.Text != d.old.Text && d.s.Text != "" && d.old.Text != "" {
		from, to = d.old.Text, d.s.Text
	}
	d.add(&Cause{Kind: CauseInstruction, From: from, To: to})
}

func words(raw json.RawMessage) string { return strings.Join(list(raw), " ") }

func list(raw json.RawMessage) []string {
	var out []string
	_ = json.Unmarshal(raw, &out)
	return out
}

// plain is a JSON value as people write it; "" for none.
func plain(raw string) string {
	var s string
	if json.Unmarshal([]byte(raw), &s) == nil && raw != "null" {
		if s == "" && raw != "" {
			return `""`
		}
		return s
	}
	return raw
}

// env adds the variables that differ, in the order of their names.
func (d *diff) env(before, now []string) {
	a, b := variables(before), variables(now)
	names := make([]string, 0, len(a)+len(b))
	for n := range a {
		names = append(names, n)
	}
	for n := range b {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		if a[n] != b[n] {
			d.add(d.variable(n, a[n], b[n]))
		}
	}
}

// variables maps names to shown values: an empty one is "".
func variables(env []string) map[string]string {
	m := make(map[string]string, len(env))
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		m[name] = fmt.Sprintf("%q", value)
	}
	return m
}

func (d *diff) variable(name, from, to string) *Cause {
	kind := CauseVariable
	if before, now := d.p.Args[name], d.c.b.Args[name]; before != now {
		kind = CauseArgument
	}
	return redacted(&Cause{Kind: kind, What: name, From: from, To: to})
}

func redacted(c *Cause) *Cause {
	if Secret(c.What) {
		c.From, c.To = "", ""
	}
	return c
}

// mounts adds the mounts that differ, by their place.
func (d *diff) mounts(before, now json.RawMessage) {
	a, b := mountsByPlace(before), mountsByPlace(now)
	places := make([]string, 0, len(a)+len(b))
	for p := range a {
		places = append(places, p)
	}
	for p := range b {
		places = append(places, p)
	}
	slices.Sort(places)
	for _, p := range slices.Compact(places) {
		if a[p] != b[p] {
			d.add(&Cause{Kind: CauseSetting, What: "the mount at " + p, From: a[p], To: b[p]})
		}
	}
}

func mountsByPlace(raw json.RawMessage) map[string]string {
	var mounts []json.RawMessage
	_ = json.Unmarshal(raw, &mounts)
	out := map[string]string{}
	for _, m := range mounts {
		var at struct{ Dest string }
		_ = json.Unmarshal(m, &at)
		out[at.Dest] += string(m)
	}
	return out
}

// file compares the actions of COPY, ADD, WORKDIR and the like.
func (d *diff) file() {
	now, before := readPreimage(d.s.Definition), readPreimage(d.old.Definition)
	if string(now.Op) == string(before.Op) {
		return
	}
	if d.s.Text != "" && d.s.Text == d.old.Text {
		if args := d.arguments(); len(args) > 0 {
			d.found = append(d.found, args...)
			return
		}
	}
	d.instruction(d.old.instruction(), d.s.instruction())
}

// arguments lists the build arguments that differ.
func (d *diff) arguments() []*Cause {
	var names []string
	for n := range d.c.b.Args {
		names = append(names, n)
	}
	for n := range d.p.Args {
		names = append(names, n)
	}
	slices.Sort(names)
	var out []*Cause
	for _, n := range slices.Compact(names) {
		from, before := d.p.Args[n]
		to, now := d.c.b.Args[n]
		if from == to && before == now {
			continue
		}
		c := &Cause{Kind: CauseArgument, What: n}
		if before {
			c.From = fmt.Sprintf("%q", from)
		}
		if now {
			c.To = fmt.Sprintf("%q", to)
		}
		out = append(out, redacted(c))
	}
	return out
}

// inputs compares what the step stands on and what it reads.
func (d *diff) inputs() {
	now, before := readPreimage(d.s.Definition).Inputs, readPreimage(d.old.Definition).Inputs
	for i := range now {
		if i < len(before) && now[i] == before[i] {
			continue
		}
		if i < len(before) && now[i].Key != "" && now[i].Key == before[i].Key {
			continue
		}
		files := d.files(i)
		because, step := d.parent(i)
		switch {
		case files != nil:
			if now[i].Key != "" && because.kind() != CauseRemote { // there is no more to say of what is elsewhere
				files.Step, files.Because = step, because
			}
			d.add(files)
		case now[i].Key == "": // read by content, with nothing listed
			d.add(&Cause{Kind: CauseFile, What: now[i].Name, To: "what is read of this context changed"})
		case because != nil && (because.Kind == CauseBase || because.Kind == CauseRemoved):
			d.add(because)
		default:
			c := &Cause{Kind: CauseParent, Step: step, Because: because}
			if because == nil && i < len(d.old.Inputs) {
				c.From = d.p.by[d.old.Inputs[i]].Title()
			}
			d.add(c)
		}
	}
}

// files lists the files that differ in what is read of input i, nil for none.
func (d *diff) files(i int) *Cause {
	now, before := d.c.filesOf(d.s, i), d.c.filesOf(d.old, i)
	var all []FileChange
	for k := range min(len(now), len(before)) {
		if now[k].Digest == before[k].Digest {
			continue
		}
		a, aerr := d.c.h.listing(before[k].Listing)
		b, berr := d.c.h.listing(now[k].Listing)
		if aerr == nil && berr == nil {
			all = append(all, a.changes(b)...)
		}
	}
	if in := readPreimage(d.s.Definition).Inputs; i < len(in) && in[i].Key != "" { // of an image, not of a context
		for k := range all {
			all[k].Path = "/" + strings.TrimPrefix(all[k].Path, "/")
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &Cause{Kind: CauseFile, What: all[0].Path, To: all[0].Change, Files: all}
}

// through looks for what differs in steps that only pass their inputs on.
func (d *diff) through() {
	for i := range d.s.Inputs {
		if because, step := d.parent(i); because != nil {
			d.add(&Cause{Kind: CauseParent, Step: step, Because: because})
		}
	}
}

// parent says why the result of input i differs, and which step's it is.
func (d *diff) parent(i int) (*Cause, *Step) {
	var now, before *Step
	if i < len(d.s.Inputs) {
		now = d.c.by[d.s.Inputs[i]]
	}
	if i < len(d.old.Inputs) {
		before = d.p.by[d.old.Inputs[i]]
	}
	if now == nil {
		return nil, nil
	}
	// An instruction between this step and the one it now stands on may be gone.
	if before != nil && d.p.old[now] != before && d.p.new[before] == nil {
		if x := d.c.explain(now); x.Cause == nil || d.p.old[now] != nil && x.Cause.Kind == CauseNoRecord {
			return &Cause{Kind: CauseRemoved, What: before.instruction()}, now
		}
	}
	return d.c.explain(now).Cause, now
}
