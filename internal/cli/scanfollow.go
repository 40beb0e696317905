package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/assenthq/assent/client"
	"github.com/assenthq/assent/internal/scan"
	"github.com/assenthq/assent/internal/server"
)

// reportEvery is how long findings of one file are gathered before the server hears of them.
const reportEvery = 3 * time.Second

// follow scans files as they grow, and tells a server where one is configured.
func (s *scanning) follow(ctx context.Context, scanner *scan.Scanner, paths []string) (scan.Sum, error) {
	if len(paths) == 0 {
		paths = []string{"-"}
	}
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil && info.IsDir() {
			return scan.Sum{}, fmt.Errorf("%s is a folder: --follow takes files", p)
		}
	}
	reporting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	if r := s.reporter(); r != nil {
		s.report = r
		wg.Go(func() { r.run(reporting) })
		fmt.Fprintln(s.a.err, "findings are also told to the server")
	}
	sum, err := scanner.Follow(ctx, paths, scan.Following{New: s.fresh, Stdin: s.a.in}, s)
	stop()
	wg.Wait()
	return sum, err
}

// reporter tells the server of the environment; nil where there is none.
func (s *scanning) reporter() *reporter {
	if _, err := server.ReadOperator(s.a.data); err != nil && os.Getenv("ASSENT_TOKEN") == "" {
		return nil
	}
	c, err := s.a.client(true)
	if err != nil {
		fmt.Fprintf(s.a.err, "findings are told to no server: %s\n", printable(err.Error()))
		return nil
	}
	host, _ := os.Hostname() // a claim anyway
	return &reporter{a: s.a, c: c, host: host, files: map[string]*client.FindingsReport{}}
}

// A reporter gathers findings by file, and tells a server now and then. What could not be told stays.
type reporter struct {
	a    *app
	c    *client.Client
	host string

	mu    sync.Mutex
	files map[string]*client.FindingsReport // guarded by mu
	said  bool                              // that it can't be told
}

func (r *reporter) take(f *scan.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.files[f.File]
	if one == nil {
		one = &client.FindingsReport{Source: f.File, Host: r.host, Line: int64(f.Line), Classes: map[string]int64{}}
		r.files[f.File] = one
	}
	one.Classes[string(f.Class)]++
}

// run tells until ctx ends, and then once more.
func (r *reporter) run(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			r.tell(last)
			cancel()
			return
		case <-tick.C:
			r.tell(ctx)
		}
	}
}

func (r *reporter) tell(ctx context.Context) {
	r.mu.Lock()
	files := r.files
	r.files = map[string]*client.FindingsReport{}
	r.mu.Unlock()
	for _, one := range files {
		if err := r.c.ReportFindings(ctx, *one); err != nil {
			r.keep(one, err)
		}
	}
}

// keep puts a report back that could not be told, and says so once.
func (r *reporter) keep(one *client.FindingsReport, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := r.files[one.Source]; now != nil {
		for class, n := range now.Classes {
			one.Classes[class] += n
		}
	}
	r.files[one.Source] = one
	var late *client.Error
	if !r.said && !(errors.As(err, &late) && late.Status == 429) {
		r.said = true
		fmt.Fprintf(r.a.err, "the server could not be told of findings, and is tried again: %s\n", printable(err.Error()))
	}
}
