package main

import (
	"math"
	"math/rand/v2"

	"github.com/assenthq/assent/internal/names"
)

const labels = names.Labels

// A trainer fits a conditional random field by stochastic gradients with
// per-weight steps (AdaGrad).
type trainer struct {
	lists           names.Lists
	rows            [][labels]float32
	sum             [][labels]float32 // of squared gradients
	steps, stepSum  [labels][labels]float64
	begin, beginSum [labels]float64
	rng             *rand.Rand
	text            names.Text

	feats          [][]uint32
	store          []uint32
	gold           []uint8
	emit, fwd, bwd [][labels]float64
	norm           []float64
}

const rate = 0.15

func newTrainer(l names.Lists, bits int, seed uint64) *trainer {
	n := 1 << bits
	t := &trainer{lists: l, rows: make([][labels]float32, n), sum: make([][labels]float32, n), rng: rand.New(rand.NewPCG(seed, 2))}
	for a := range labels {
		for b := range labels {
			t.stepSum[a][b] = 1
		}
		t.beginSum[a] = 1
	}
	return t
}

// learn takes one step on s and returns its loss and the number of tokens.
func (t *trainer) learn(s sample) (loss float64, tokens int) {
	t.text.Read(s.text, &t.lists)
	t.text.Hide(func(start int) bool { return s.hide[start] })
	n := t.text.Len()
	for i := 0; i < n; {
		if !t.text.Active(i) {
			i++
			continue
		}
		j := i
		for j < n && t.text.Active(j) {
			j++
		}
		loss += t.run(s, i, j)
		tokens += j - i
		i = j
	}
	return loss, tokens
}

// labelsOf gives the tokens [i, j) their labels.
func (t *trainer) labelsOf(s sample, i, j int) {
	t.gold = t.gold[:0]
	p := 0
	prev := -1
	for k := i; k < j; k++ {
		start, end := t.text.Bounds(k)
		for p < len(s.spans) && s.spans[p].End <= start {
			p++
		}
		l := uint8(0)
		if p < len(s.spans) && start < s.spans[p].End && end > s.spans[p].Start {
			l = names.First(s.spans[p].Kind)
			if prev == p {
				l++
			}
			prev = p
		}
		t.gold = append(t.gold, l)
	}
}

func (t *trainer) run(s sample, i, j int) float64 {
	t.labelsOf(s, i, j)
	n := j - i
	for len(t.emit) < n {
		t.emit, t.fwd, t.bwd = append(t.emit, [labels]float64{}), append(t.fwd, [labels]float64{}), append(t.bwd, [labels]float64{})
		t.norm, t.feats = append(t.norm, 0), append(t.feats, nil)
	}
	mask := uint32(len(t.rows) - 1)
	t.store = t.store[:0]
	var space [names.MaxFeatures]uint32
	for k := range n {
		at := len(t.store)
		for _, f := range t.text.Features(i+k, &space) {
			t.store = append(t.store, f&mask)
		}
		t.feats[k] = t.store[at:len(t.store):len(t.store)]
	}
	at := 0
	for k := range n { // store may have moved
		m := len(t.feats[k])
		t.feats[k] = t.store[at : at+m]
		at += m
		var e [labels]float64
		for _, f := range t.feats[k] {
			row := &t.rows[f]
			for l := range e {
				e[l] += float64(row[l])
			}
		}
		t.emit[k] = e
	}
	var step [labels][labels]float64
	for a := range uint8(labels) {
		for b := range uint8(labels) {
			if names.Follows(a, b) {
				step[a][b] = math.Exp(t.steps[a][b])
			}
		}
	}
	gold := t.begin[t.gold[0]] + t.emit[0][t.gold[0]]
	for k := 1; k < n; k++ {
		gold += t.steps[t.gold[k-1]][t.gold[k]] + t.emit[k][t.gold[k]]
	}
	logZ := t.forward(n, &step)
	t.backward(n, &step)
	t.update(n, &step)
	return logZ - gold
}

// forward fills fwd with scaled sums; emit is turned into its exponentials.
func (t *trainer) forward(n int, step *[labels][labels]float64) float64 {
	logZ := 0.0
	for k := range n {
		top := t.emit[k][0]
		for _, v := range t.emit[k] {
			top = max(top, v)
		}
		sum := 0.0
		for l := range uint8(labels) {
			e := math.Exp(t.emit[k][l] - top)
			v := 0.0
			if k == 0 {
				if names.Follows(0, l) {
					v = math.Exp(t.begin[l])
				}
			} else {
				for p := range labels {
					v += t.fwd[k-1][p] * step[p][l]
				}
			}
			t.bwd[k][l] = e // kept for backward and update
			t.fwd[k][l] = v * e
			sum += v * e
		}
		for l := range labels {
			t.fwd[k][l] /= sum
		}
		t.norm[k] = sum
		logZ += math.Log(sum) + top
	}
	return logZ
}

// backward turns fwd into marginals; bwd keeps e(k) times what follows.
func (t *trainer) backward(n int, step *[labels][labels]float64) {
	var after [labels]float64
	for l := range after {
		after[l] = 1
	}
	for k := n - 1; k >= 0; k-- {
		var before [labels]float64
		for l := range labels {
			e := t.bwd[k][l]
			t.bwd[k][l] = e * after[l] / t.norm[k]
			before[l] = t.bwd[k][l]
		}
		for p := range labels {
			v := 0.0
			for l := range labels {
				v += step[p][l] * before[l]
			}
			t.marg(k, p, after[p])
			after[p] = v
		}
	}
}

// marg keeps the marginal of label l at k in emit.
func (t *trainer) marg(k, l int, after float64) { t.emit[k][l] = t.fwd[k][l] * after }

func (t *trainer) update(n int, step *[labels][labels]float64) {
	for k := range n {
		var g [labels]float32
		for l := range labels {
			g[l] = -float32(t.emit[k][l])
		}
		g[t.gold[k]]++
		small := true
		for _, v := range g {
			if v > 1e-3 || v < -1e-3 {
				small = false
			}
		}
		if !small {
			for _, f := range t.feats[k] {
				row, sum := &t.rows[f], &t.sum[f]
				for l, v := range g {
					if v > 1e-4 || v < -1e-4 {
						sum[l] += v * v
						row[l] += rate*v/(0.5+float32(math.Sqrt(float64(sum[l])))) - 2e-6*row[l]
					}
				}
			}
		}
		if k == 0 {
			for l := range labels {
				v := float64(g[l])
				t.beginSum[l] += v * v
				t.begin[l] += rate * v / math.Sqrt(t.beginSum[l])
			}
			continue
		}
		for a := range labels {
			for b := range labels {
				v := -t.fwd[k-1][a] * step[a][b] * t.bwd[k][b]
				if int(t.gold[k-1]) == a && int(t.gold[k]) == b {
					v++
				}
				if v != 0 {
					t.stepSum[a][b] += v * v
					t.steps[a][b] += rate * v / math.Sqrt(t.stepSum[a][b])
				}
			}
		}
	}
}

// model rounds the weights to bytes.
func (t *trainer) model() *names.Model {
	top := float32(0)
	for i := range t.rows {
		for _, v := range t.rows[i] {
			top = max(top, v, -v)
		}
	}
	scale := float64(127 / min(top, 3))
	m := &names.Model{Rows: make([]names.Row, len(t.rows)), Scale: int(math.Round(scale)), Lists: t.lists}
	for i := range t.rows {
		for l, v := range t.rows[i] {
			m.Rows[i].Set(l, int(max(-127, min(127, math.Round(float64(v)*scale)))))
		}
	}
	for a := range labels {
		m.Begin[a] = int(math.Round(t.begin[a] * scale))
		for b := range labels {
			m.Steps[a][b] = int(math.Round(t.steps[a][b] * scale))
		}
	}
	return m
}
