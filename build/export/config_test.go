package export

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/mica-build/mica/errs"
)

// The front end's config gets what only the layers tell; what mica does not know
// in it stays.
func TestFinishConfig(t *testing.T) {
	a, b := digest.FromString("a"), digest.FromString("b")
	made := time.Unix(90, 0).UTC()
	epoch := time.Unix(5, 0).UTC()
	for _, c := range []struct {
		name    string
		config  string
		layers  []imageLayer
		epoch   *time.Time
		want    string
		created *time.Time
	}{
		{
			name:    "no layers",
			config:  `{"os":"linux"}`,
			want:    `{"os":"linux","rootfs":{"type":"layers","diff_ids":null},"history":null,"created":null}`,
			created: nil,
		},
		{
			name:    "times of the layers, and a field that nobody knows",
			config:  `{"os":"linux","x-field":{"b":1,"a":[2]},"history":[{"created_by":"COPY"}]}`,
			layers:  []imageLayer{{diffID: a, created: made}},
			want:    `{"os":"linux","x-field":{"b":1,"a":[2]},"rootfs":{"type":"layers","diff_ids":["` + a.String() + `"]},"history":[{"created":"1970-01-01T00:01:30Z","created_by":"COPY"}],"created":"1970-01-01T00:01:30Z"}`,
			created: &made,
		},
		{
			name:    "the epoch",
			config:  `{"created":"2020-01-01T00:00:00Z","history":[{"created_by":"COPY"}]}`,
			layers:  []imageLayer{{diffID: b, created: made}},
			epoch:   &epoch,
			want:    `{"rootfs":{"type":"layers","diff_ids":["` + b.String() + `"]},"history":[{"created":"1970-01-01T00:00:05Z","created_by":"COPY"}],"created":"1970-01-01T00:00:05Z"}`,
			created: &epoch,
		},
		{
			name:    "diff ids of the front end are replaced",
			config:  `{"rootfs":{"type":"layers","diff_ids":["sha256:old"]},"history":[{"created_by":"x"},{"created_by":"ENV","empty_layer":true}]}`,
			layers:  []imageLayer{{diffID: a, created: made}},
			want:    `{"rootfs":{"type":"layers","diff_ids":["` + a.String() + `"]},"history":[{"created":"1970-01-01T00:01:30Z","created_by":"x"},{"created":"1970-01-01T00:01:30Z","created_by":"ENV","empty_layer":true}],"created":"1970-01-01T00:01:30Z"}`,
			created: &made,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, created, err := finishConfig(Target{Config: []byte(c.config), Epoch: c.epoch}, c.layers)
			if err != nil {
				t.Fatal(err)
			}
			var got, want any
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.created, created); diff != "" {
				t.Errorf("created (-want +got):\n%s", diff)
			}
			again, _, err := finishConfig(Target{Config: []byte(c.config), Epoch: c.epoch}, c.layers)
			if err != nil || string(again) != string(raw) {
				t.Errorf("other bytes the second time: %s, %v", again, err)
			}
		})
	}
	for _, config := range []string{"", "[]", `{"history":1}`, `{"created":"yesterday"}`} {
		if _, _, err := finishConfig(Target{Config: []byte(config)}, nil); !errors.Is(err, errs.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", config, err)
		}
	}
}
