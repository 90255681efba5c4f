package table

// Snapshot gives the changes that make the table anew, in parts of which each
// makes sense by itself once those before it were made.
func (t *Table) Snapshot(part func([]Change) error) error {
	const most = 256
	var batch []Change
	add := func(c Change) error {
		batch = append(batch, c)
		if len(batch) < most {
			return nil
		}
		err := part(batch)
		batch = batch[:0]
		return err
	}
	for _, step := range []func(func(Change) error) error{t.objectChanges, t.tagChanges} {
		if err := step(add); err != nil {
			return err
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return part(batch)
}

func (t *Table) objectChanges(add func(Change) error) error {
	for key, o := range t.objects {
		if o.linked != 0 {
			if err := add(Change{op: opLink, key: key, size: o.size, time: o.linked}); err != nil {
				return err
			}
		}
		if o.m == nil {
			continue
		}
		c := Change{
			op: opManifest, key: key, size: o.size, time: o.m.pushed, mediaType: o.m.mediaType,
			artifactType: o.m.artifactType, subject: o.m.subject, blobs: keys(o.m.blobs), manifests: keys(o.m.manifests),
		}
		if err := add(c); err != nil {
			return err
		}
		if o.m.pulled != 0 {
			if err := add(Change{op: opPulled, key: key, time: o.m.pulled}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Table) tagChanges(add func(Change) error) error {
	for name, tag := range t.tags {
		if err := add(Change{op: opTag, key: tag.target.key, name: name, time: tag.pushed}); err != nil {
			return err
		}
		if tag.pulled != 0 {
			if err := add(Change{op: opPulled, key: tag.target.key, name: name, time: tag.pulled}); err != nil {
				return err
			}
		}
	}
	return nil
}

func keys(list []*object) []string {
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = o.key
	}
	return out
}
