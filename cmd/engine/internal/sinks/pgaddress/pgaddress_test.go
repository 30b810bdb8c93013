package pgaddress

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// said is what pgx would connect with.
type said struct {
	Hosts    []string          `json:"hosts"`
	Ports    []int             `json:"ports"`
	User     string            `json:"user"`
	Password string            `json:"password"`
	Database string            `json:"dbname"`
	Params   map[string]string `json:"params"`
	Timeout  int               `json:"connect_timeout"`
	TLS      []string          `json:"tls"`
	Writable bool              `json:"writable"`
	Binding  string            `json:"channel_binding"`
	Row      []string          `json:"row,omitempty"`
	Error    string            `json:"error,omitempty"`
	Fault    string            `json:"fault,omitempty"`
}

// ask is what a server is asked when parts are tried on one.
const ask = "SELECT current_user::text, current_database()::text, current_setting('timezone'), pg_catalog.inet_server_port()"

func row(t *testing.T, conf *pgconn.Config) ([]string, error) {
	t.Helper()
	conn, err := pgconn.ConnectConfig(context.Background(), conf)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	results, err := conn.Exec(context.Background(), ask).ReadAll()
	must(t, err)
	var texts []string
	for _, value := range results[0].Rows[0] {
		texts = append(texts, string(value))
	}
	return texts, nil
}

func describe(conf *pgconn.Config) said {
	s := said{
		User: conf.User, Password: conf.Password, Database: conf.Database, Params: conf.RuntimeParams,
		Timeout: int(conf.ConnectTimeout / time.Second), Writable: conf.ValidateConnect != nil, Binding: conf.ChannelBinding,
	}
	all := append([]*pgconn.FallbackConfig{{Host: conf.Host, Port: conf.Port, TLSConfig: conf.TLSConfig}}, conf.Fallbacks...)
	for _, each := range all {
		mode := "none"
		switch {
		case each.TLSConfig == nil:
		case !each.TLSConfig.InsecureSkipVerify:
			mode = "full"
		case each.TLSConfig.VerifyPeerCertificate != nil:
			mode = "ca"
		default:
			mode = "encrypted"
		}
		s.TLS = append(s.TLS, mode)
		last := len(s.Hosts) - 1
		if last < 0 || s.Hosts[last] != each.Host || s.Ports[last] != int(each.Port) {
			s.Hosts = append(s.Hosts, each.Host)
			s.Ports = append(s.Ports, int(each.Port))
		}
	}
	return s
}

func parsed(t *testing.T, text string) said {
	t.Helper()
	conf, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return describe(conf)
}

const minimal = `{"host": "db", "port": "5432", "user": "u", "dbname": "d", "password": ""}`

func TestNothingComesFromElsewhere(t *testing.T) {
	want := parsed(t, minimal)
	t.Setenv("HOME", t.TempDir())
	must(t, os.WriteFile(os.Getenv("HOME")+"/.pgpass", []byte("*:*:*:*:found\n"), 0o600))
	for name, value := range map[string]string{
		"PGHOST": "elsewhere", "PGPORT": "1", "PGDATABASE": "x", "PGUSER": "x", "PGPASSWORD": "x", "PGSSLMODE": "require",
		"PGOPTIONS": "-c x=y", "PGAPPNAME": "x", "PGCONNECT_TIMEOUT": "7", "PGTARGETSESSIONATTRS": "read-only", "PGTZ": "CET",
		"PGSERVICE": "missing", "PGSERVICEFILE": "/nowhere", "PGSSLROOTCERT": "/nowhere", "PGSSLCERT": "/nowhere",
		"PGMINPROTOCOLVERSION": "",
	} {
		t.Setenv(name, value)
	}
	if got := parsed(t, minimal); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want.Password != "" || want.Params["options"] != "" || want.Hosts[0] != "db" {
		t.Errorf("the address says something else: %+v", want)
	}
	if os.Getenv("PGSERVICE") != "missing" {
		t.Error("the environment is not what it was")
	}
}

func TestTheApplicationAndTheEncodingAreSetUnlessTheAddressSays(t *testing.T) {
	want := map[string]string{"client_encoding": "UTF8", "application_name": "ddpm"}
	if got := parsed(t, minimal).Params; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	named := strings.Replace(minimal, "{", `{"application_name": "orders", "options": "-c timezone=UTC", `, 1)
	want = map[string]string{"client_encoding": "UTF8", "application_name": "orders", "options": "-c timezone=UTC"}
	if got := parsed(t, named).Params; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestKeepalivesAreTheDialers(t *testing.T) {
	d, err := dialer(map[string]string{"keepalives_idle": "7", "keepalives_interval": "3", "keepalives_count": "4"}, time.Second)
	must(t, err)
	config := d.KeepAliveConfig
	if !config.Enable || config.Idle != 7*time.Second || config.Interval != 3*time.Second || config.Count != 4 || d.Timeout != time.Second {
		t.Errorf("got %+v", d)
	}
	if d, _ = dialer(map[string]string{"keepalives": "0"}, 0); d.KeepAlive >= 0 {
		t.Errorf("keepalives=0 leaves them on: %+v", d)
	}
	if d, _ = dialer(map[string]string{"keepalives": "1"}, 0); d.KeepAlive != 0 || d.KeepAliveConfig.Enable {
		t.Errorf("keepalives=1 is what the dialer does anyway: %+v", d)
	}
}

func TestWhatMakesNoSenseIsRefusedWithoutItsPassword(t *testing.T) {
	for _, text := range []string{
		"", "{", "[]", `{"host": 1}`, "postgresql://u:hunter2@db:port/d",
		`{"host": "db", "password": "hunter2"}`,
		strings.Replace(minimal, "{", `{"sslcrl": "hunter2", `, 1),
		strings.Replace(minimal, "{", `{"sslmode": "perhaps", "sslpassword": "hunter2", `, 1),
		strings.Replace(minimal, "{", `{"sslrootcert": "/nowhere", "sslmode": "verify-full", "sslpassword": "hunter2", `, 1),
		strings.Replace(minimal, "{", `{"keepalives_idle": "hunter2", `, 1),
	} {
		if _, err := Parse(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

// A keyword of libpq would reach the server as a setting, which refuses the connection.
func TestAURLWithAKeywordThatPgxDoesNotKnowIsRefused(t *testing.T) {
	for _, name := range keywords {
		_, err := Parse("postgresql://u:hunter2@db/d?" + name + "=hunter2")
		if err == nil || !strings.Contains(err.Error(), "keyword "+name+" of libpq") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s gives %v", name, err)
		}
	}
	for name := range defaults {
		conf, err := pgconn.ParseConfig("postgresql://u@db/d?" + name + "=")
		if err == nil && len(conf.RuntimeParams) > 0 {
			t.Errorf("pgx takes %s for a setting of the server", name)
		}
	}
}

func TestVersionsOfTLSAreThoseOfTheAddressForEachServer(t *testing.T) {
	text := strings.Replace(minimal, `"db", "port": "5432"`, `"a,b", "port": "1,2"`, 1)
	conf, err := Parse(strings.Replace(text, "{", `{"ssl_min_protocol_version": "TLSv1.3", "sslmode": "require", `, 1))
	must(t, err)
	for _, each := range []*tls.Config{conf.TLSConfig, conf.Fallbacks[0].TLSConfig} {
		if each.MinVersion != tls.VersionTLS13 || each.MaxVersion != 0 {
			t.Errorf("versions from %x to %x", each.MinVersion, each.MaxVersion)
		}
	}
	if _, err := Parse(strings.Replace(text, "{", `{"ssl_max_protocol_version": "SSLv3", `, 1)); err == nil {
		t.Error("a version that does not exist is taken")
	}
}

// TestPartsFromDdpm answers, line by line, with what pgx makes of parts that ddpm made of URLs; the test of
// ddpm (tests/integration/test_addresses.py) compares them with what its own client makes of them.
func TestPartsFromDdpm(t *testing.T) {
	asked, answers := os.Getenv("DDPM_TEST_ADDRESSES"), os.Getenv("DDPM_TEST_ADDRESSES_READ")
	if asked == "" {
		t.Skip("DDPM_TEST_ADDRESSES is not set: it names a file with parts, one address a line")
	}
	in, err := os.Open(asked)
	must(t, err)
	defer in.Close()
	out, err := os.Create(answers)
	must(t, err)
	defer out.Close()
	lines, encoder := bufio.NewScanner(in), json.NewEncoder(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		answer := said{}
		if conf, err := Parse(lines.Text()); err != nil {
			answer.Error = err.Error()
		} else {
			answer = describe(conf)
			if os.Getenv("DDPM_TEST_ADDRESSES_ASKED") != "" {
				if answer.Row, err = row(t, conf); err != nil {
					answer.Fault, _ = TLSFault(err)
					answer.Error = err.Error()
				}
			}
		}
		must(t, encoder.Encode(answer))
	}
	must(t, lines.Err())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
