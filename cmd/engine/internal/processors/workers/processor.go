package workers

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records"
)

func init() {
	spec := service.NewConfigSpec().Categories("ddpm").
		Summary("Lets a Python function parse records, in worker processes beside the engine.").
		Description("A record that the function cannot read fails with a reason. Must follow `ddpm_origin`.").
		Fields(
			service.NewStringField("python_env").
				Description("The name of the environment variable that holds the interpreter's path."),
			service.NewStringField("name").Description("The parser's name; without a path, that of its entry point."),
			service.NewStringField("path").Description("The file or folder of the plugin.").Default(""),
			service.NewIntField("workers").Description("How many processes; 0 for as many as there are processors.").Default(0),
			service.NewDurationField("timeout").Description("How long the function may take for one record."),
			service.NewIntField("memory").Description("How many bytes each process may have."),
			service.NewIntField("tries").Description("How often a record may end its process before it is given up."),
		)
	records.RegisterBatch("ddpm_python", spec, build)
}

func build(conf *service.ParsedConfig, mgr *service.Resources) (records.BatchDecoder, error) {
	parsed, err := parse(conf)
	if err != nil {
		return nil, err
	}
	return &decoder{pool: shared.join(parsed, mgr), conf: parsed}, nil
}

func parse(conf *service.ParsedConfig) (parsed config, err error) {
	variable, err := conf.FieldString("python_env")
	if err != nil {
		return parsed, err
	}
	var found bool
	if parsed.python, found = os.LookupEnv(variable); !found {
		return parsed, fmt.Errorf("the environment variable %s, which holds the path of Python, is not set", variable)
	}
	if parsed.name, err = conf.FieldString("name"); err != nil {
		return parsed, err
	}
	if parsed.path, err = conf.FieldString("path"); err != nil {
		return parsed, err
	}
	if parsed.workers, err = conf.FieldInt("workers"); err != nil {
		return parsed, err
	}
	if parsed.workers <= 0 {
		parsed.workers = runtime.GOMAXPROCS(0)
	}
	if parsed.timeout, err = conf.FieldDuration("timeout"); err != nil {
		return parsed, err
	}
	if parsed.memory, err = conf.FieldInt("memory"); err != nil {
		return parsed, err
	}
	parsed.tries, err = conf.FieldInt("tries")
	return parsed, err
}

// decoder is one thread's share of a pool.
type decoder struct {
	pool *pool
	conf config
	once sync.Once
}

func (d *decoder) DecodeBatch(ctx context.Context, batch []records.Record) ([]records.Result, error) {
	return d.pool.decode(ctx, batch)
}

func (d *decoder) Close(context.Context) error {
	d.once.Do(func() { shared.leave(d.conf) })
	return nil
}

// pools holds those that processors use at the moment: every thread of a pipeline has a processor of its own, and
// all of them must not have more workers than were asked for.
type pools struct {
	mutex sync.Mutex
	used  map[config]*member
}

type member struct {
	pool  *pool
	users int
}

var shared = pools{used: map[config]*member{}}

func (p *pools) join(conf config, mgr *service.Resources) *pool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.used[conf] == nil {
		p.used[conf] = &member{pool: newPool(conf, mgr)}
	}
	p.used[conf].users++
	return p.used[conf].pool
}

func (p *pools) leave(conf config) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.used[conf].users--; p.used[conf].users == 0 {
		p.used[conf].pool.close()
		delete(p.used, conf)
	}
}
