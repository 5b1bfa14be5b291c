// The calls of Webex that the ladder makes beside OAuth, over the provider's own tokens: a bearer
// is good exactly as long as the provider says so, and what is minted is refreshed there.
import { randomUUID } from 'node:crypto'
import { json as readJson } from 'node:stream/consumers'

// Of all clients, the integration alone may ask for it.
const MINT_SCOPE = 'spark:applications_token'

/** A refusal, in words of Webex's API reference. */
class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}
const malformed = () => new Refused(
  400,
  'The request could not be understood by the server due to malformed syntax.',
)
const unauthorized = () => new Refused(
  401,
  'The request requires a valid access token set in the Authorization request header.',
)
const forbidden = () => new Refused(
  403,
  'The server understood the request, but refused to fulfill it because the access token is ' +
    'missing required scopes or the user is missing required roles or licenses.',
)
const notFound = () => new Refused(404, 'The requested resource could not be found.')

/** A handler of requests whose path begins with `/v1/`. */
export function webexCalls(provider, { serviceApp, targetOrgId }) {
  async function bearer(request) {
    const [, value] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? []
    const token = await provider.AccessToken.find(value)
    if (!token) throw unauthorized()
    return token
  }

  async function dataSources(request) {
    await bearer(request)
    return { items: [] }
  }

  async function tokenExpiry(request) {
    const token = await bearer(request)
    return { exp: token.exp * 1000 }
  }

  async function mint(request, applicationId) {
    const token = await bearer(request)
    const body = await readJson(request).catch(() => { throw malformed() })
    if (valueOf('APPLICATION', applicationId) !== serviceApp.clientId) throw notFound()
    if (!token.scopes.has(MINT_SCOPE)) throw forbidden()
    const isServiceApp = body.clientId === serviceApp.clientId &&
      body.clientSecret === serviceApp.clientSecret &&
      valueOf('ORGANIZATION', body.targetOrgId) === targetOrgId
    if (!isServiceApp) throw malformed()
    return issue()
  }

  /** Grants the service app what a person who consents would, and issues tokens for it. */
  async function issue() {
    const client = await provider.Client.find(serviceApp.clientId)
    const { clientId, scope } = serviceApp
    const accountId = 'machine-account'
    const grant = new provider.Grant({ accountId, clientId })
    grant.addOIDCScope(scope)
    const grantId = await grant.save()
    const rights = { accountId, client, grantId, gty: 'mint', scope }
    const accessToken = new provider.AccessToken(rights)
    const refreshToken = new provider.RefreshToken(rights)
    return {
      access_token: await accessToken.save(),
      expires_in: accessToken.expiration,
      refresh_token: await refreshToken.save(),
      refresh_token_expires_in: refreshToken.expiration,
      token_type: 'Bearer',
    }
  }

  function route({ method, url }) {
    const { pathname } = new URL(url, 'http://localhost')
    const [, applicationId] = /^\/v1\/applications\/([^/]+)\/token$/.exec(pathname) ?? []
    if (method === 'GET' && pathname === '/v1/dataSources') return dataSources
    if (method === 'GET' && pathname === '/v1/authorizations/tokenExpiry') return tokenExpiry
    if (method === 'POST' && applicationId) {
      return (request) => mint(request, decodeURIComponent(applicationId))
    }
    throw notFound()
  }

  return async (request, response) => {
    const answer = (status, body) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    try {
      answer(200, await route(request)(request))
    } catch (error) {
      if (!(error instanceof Refused)) console.error(error)
      const { status = 500, message } = error
      const trackingId = `ROUTER_${randomUUID()}`
      answer(status, { message, errors: [{ description: message }], trackingId })
    }
  }
}

/** What a Webex id names: the base64 of `ciscospark://<region>/<TYPE>/<value>`, or the value. */
function valueOf(type, id) {
  const decoded = Buffer.from(String(id), 'base64').toString()
  const [, found, value] = /^ciscospark:\/\/[^/]+\/([^/]+)\/(.+)$/.exec(decoded) ?? []
  if (!found) return id
  return found === type ? value : undefined
}
