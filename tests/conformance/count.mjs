// Runs the suite of a checkout against an address and counts what passes, as the suite's own tables
// do: a test whose prerequisite fails counts as failed, whatever it said itself. On the way it reads
// `Cache-Status` of every response, strictly.
//
//   node count.mjs CHECKOUT BASE PRESET [TEST]

import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { checkReader, flawOf } from './structured.mjs'

// Tests that must pass: required, optimal.
const bars = { conformance: [160, 98], cautious: [149, 90], private: [136, 71] }

const [checkout, base, preset, only] = process.argv.slice(2)
const load = file => import(pathToFileURL(join(checkout, file)).href)
const { runTests, getResults } = await load('test-engine/client/runner.mjs')
const { determineTestResult, resultTypes } = await load('test-engine/lib/results.mjs')
const { default: suites } = await load('tests/index.mjs')

checkReader()
const told = { responses: 0, flaws: new Map() }
const send = globalThis.fetch
globalThis.fetch = async (...request) => {
  const response = await send(...request)
  // Fields of several lines are combined, as a reader of lists must (RFC 9651 section 4.2).
  const status = response.headers.get('cache-status')
  told.responses += 1
  const flaw = status === null ? `a ${response.status} says nothing` : flawOf(status)
  if (flaw !== undefined) {
    const shown = `${flaw}: ${status}`
    told.flaws.set(shown, (told.flaws.get(shown) ?? 0) + 1)
  }
  return response
}

const browser = preset === 'private'
const selected = suites.map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => only === undefined || test.id === only)
}))
if (only !== undefined) selected.forEach(suite => suite.tests.forEach(test => { test.dump = true }))
await runTests(selected, browser, base)

const results = getResults()
const kinds = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
const failed = []
for (const test of suites.flatMap(suite => suite.tests)) {
  if (results[test.id] === undefined) continue
  const kind = test.kind ?? 'required'
  const result = determineTestResult(suites, test.id, results, only === undefined)
  const passed = result === resultTypes.pass || result === resultTypes.yes
  kinds[kind][0] += passed ? 1 : 0
  kinds[kind][1] += 1
  const name = Object.keys(resultTypes).find(name => resultTypes[name] === result)
  if (!passed && kind !== 'check') failed.push(`  ${kind} ${test.id} (${name}): ${results[test.id]}`)
}
const counts = Object.entries(kinds).map(([kind, [passed, all]]) => `${kind} ${passed}/${all}`)
console.log(`${preset}: ${counts.join(', ')}`)
console.log(failed.join('\n'))
const unreadable = [...told.flaws.values()].reduce((all, some) => all + some, 0)
console.log(`Cache-Status: ${told.responses} responses, ${unreadable} unparsable`)
;[...told.flaws].slice(0, 20).forEach(([flaw, count]) => console.log(`  ${count} x ${flaw}`))
const met = unreadable === 0 && (bars[preset] ?? [0, 0]).every((bar, at) => Object.values(kinds)[at][0] >= bar)
process.exit(met || (only !== undefined && unreadable === 0) ? 0 : 1)
