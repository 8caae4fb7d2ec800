// A strict reader of structured field lists (RFC 9651 section 3.1), and of what `Cache-Status` makes
// of them (RFC 9211): whatever deviates is told, nothing is mended.

/// Reads a field's combined lines; throws what is wrong with them.
export function readList (text) {
  const at = { text, here: 0 }
  if (/[^\x20-\x7e]/.test(text.replaceAll('\t', ' '))) throw new Error('no ASCII text')
  skip(at, ' ')
  const members = []
  while (at.here < text.length) {
    members.push(readMember(at))
    skip(at, ' \t')
    if (at.here === text.length) return members
    expect(at, ',')
    skip(at, ' \t')
    if (at.here === text.length) throw new Error('a comma at the end')
  }
  return members
}

/// What is wrong with a `Cache-Status`; undefined if nothing is.
export function flawOf (text) {
  try {
    const members = readList(text)
    if (members.length === 0) return 'it is empty'
    return members.map(flawOfMember).find(flaw => flaw !== undefined)
  } catch (error) {
    return error.message
  }
}

const reasons = ['bypass', 'method', 'uri-miss', 'vary-miss', 'miss', 'request', 'stale', 'partial']
const types = {
  hit: ['boolean'],
  fwd: ['token'],
  'fwd-status': ['integer'],
  ttl: ['integer'],
  stored: ['boolean'],
  collapsed: ['boolean'],
  key: ['string'],
  detail: ['token', 'string']
}

function flawOfMember ({ type, parameters }) {
  if (type !== 'token' && type !== 'string') return `a cache is named by a ${type}`
  for (const [name, item] of parameters) {
    const wanted = types[name]
    if (wanted === undefined) return `the parameter ${name} is not registered`
    if (!wanted.includes(item.type)) return `${name} is a ${item.type}, not a ${wanted.join(' or ')}`
  }
  const said = name => parameters.get(name)?.value
  if (said('hit') === true && parameters.has('fwd')) return 'it is a hit and was forwarded'
  if (parameters.has('fwd') && !reasons.includes(said('fwd'))) return `fwd=${said('fwd')} is not registered`
  const status = said('fwd-status')
  if (status !== undefined && (status < 100 || status > 599)) return `fwd-status=${status} is no status`
  for (const name of ['fwd-status', 'stored', 'collapsed']) {
    if (parameters.has(name) && !parameters.has('fwd')) return `${name} without fwd`
  }
}

function readMember (at) {
  if (at.text[at.here] !== '(') return { ...readBare(at), parameters: readParameters(at) }
  const items = []
  at.here += 1
  for (;;) {
    skip(at, ' ')
    if (at.text[at.here] === ')') break
    items.push({ ...readBare(at), parameters: readParameters(at) })
    if (!' )'.includes(at.text[at.here] ?? '!')) throw new Error('an inner list without end')
  }
  at.here += 1
  return { type: 'inner list', value: items, parameters: readParameters(at) }
}

function readParameters (at) {
  const parameters = new Map()
  while (at.text[at.here] === ';') {
    at.here += 1
    skip(at, ' ')
    const name = take(at, /[a-z*][a-z0-9_.*-]*/y, 'a key')
    let item = { type: 'boolean', value: true }
    if (at.text[at.here] === '=') {
      at.here += 1
      item = readBare(at)
    }
    parameters.delete(name)
    parameters.set(name, item)
  }
  return parameters
}

function readBare (at) {
  const first = at.text[at.here] ?? ''
  if (/[-0-9]/.test(first)) return readNumber(at)
  if (first === '"') {
    const value = take(at, /"(?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*"/y, 'a string')
    return { type: 'string', value }
  }
  if (first === ':') return { type: 'bytes', value: take(at, /:[A-Za-z0-9+/]*={0,2}:/y, 'bytes') }
  if (first === '?') return { type: 'boolean', value: take(at, /\?[01]/y, 'a boolean') === '?1' }
  if (first === '@') {
    at.here += 1
    const number = readNumber(at)
    if (number.type !== 'integer') throw new Error('a date that is no integer')
    return { type: 'date', value: number.value }
  }
  const value = take(at, /[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*/y, 'a value')
  return { type: 'token', value }
}

function readNumber (at) {
  const text = take(at, /-?[0-9]+(?:\.[0-9]*)?/y, 'a number')
  const [whole, part] = text.replace('-', '').split('.')
  const fits = part === undefined ? whole.length <= 15 : whole.length <= 12 && /^[0-9]{1,3}$/.test(part)
  if (!fits) throw new Error(`the number ${text} is too long`)
  return { type: part === undefined ? 'integer' : 'decimal', value: Number(text) }
}

function take (at, pattern, what) {
  pattern.lastIndex = at.here
  const found = pattern.exec(at.text)
  if (found === null) throw new Error(`expected ${what} at ${at.here} of ${JSON.stringify(at.text)}`)
  at.here = pattern.lastIndex
  return found[0]
}

function expect (at, character) {
  if (at.text[at.here] !== character) throw new Error(`expected ${character} at ${at.here} of ${JSON.stringify(at.text)}`)
  at.here += 1
}

function skip (at, characters) {
  while (at.here < at.text.length && characters.includes(at.text[at.here])) at.here += 1
}

const right = [
  'spillgate; hit; ttl=30',
  'spillgate;fwd=uri-miss;  stored',
  '"a b"; fwd=stale; fwd-status=304; collapsed; ttl=-5; detail=stale-if-error; key="a\\"b"',
  'origin; hit=?0; fwd=miss ,\tedge; hit; ttl=-999999999999999; detail="x"'
]
const wrong = [
  '',
  'spillgate;',
  'spillgate hit',
  'spillgate; hit,',
  ', spillgate',
  'spillgate; hit; ttl=1.5',
  'spillgate; hit; ttl=1234567890123456',
  'spillgate; hit; ttl=',
  'spillgate; hit=yes',
  'spillgate; hit; fwd=miss',
  'spillgate; fwd="miss"',
  'spillgate; fwd=other',
  'spillgate; fwd=stale; fwd-status="304"',
  'spillgate; fwd=stale; fwd-status=99',
  'spillgate; stored',
  'spillgate; Hit',
  'spillgate ; hit',
  'spillgate; hit; detail=a b',
  'spillgate; hit; detail="a',
  'spillgate; hit; detail="\\a"',
  'spillgate; hit; detail="\u00e9"',
  'spillgate; hit; key=token',
  'spillgate; hit; age=3',
  '30; hit',
  '(spillgate); hit',
  'spillgate; hit\tx'
]

/// Throws unless this reader takes what is right and nothing else.
export function checkReader () {
  for (const text of right) {
    const flaw = flawOf(text)
    if (flaw !== undefined) throw new Error(`refuses ${JSON.stringify(text)}: ${flaw}`)
  }
  const taken = wrong.find(text => flawOf(text) === undefined)
  if (taken !== undefined) throw new Error(`takes ${JSON.stringify(taken)}`)
}
