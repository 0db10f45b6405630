import { Provider } from 'oidc-provider';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
const [,, port, alg, seeds, file] = process.argv;
const kinds = new Map();
class Memory {
  constructor(name) { this.name = name; }
  k(id) { return `${this.name}:${id}`; }
  async upsert(id, payload) { kinds.set(this.k(id), payload);
    if (payload.grantId) { const l = grants.get(payload.grantId); if (l) l.push(this.k(id)); else grants.set(payload.grantId, [this.k(id)]); } }
  async find(id) { return kinds.get(this.k(id)); }
  async consume(id) { const p = kinds.get(this.k(id)); if (p) p.consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { kinds.delete(this.k(id)); }
  async revokeByGrantId(grantId) { for (const k of grants.get(grantId) ?? []) kinds.delete(k); grants.delete(grantId); }
  async findByUid() {} async findByUserCode() {}
}
const grants = new Map();
const pair = alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 });
const jwk = { ...pair.privateKey.export({ format: 'jwk' }), use: 'sig', alg, kid: 'k' };
const rs = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Memory,
  clients: [{ client_id: 'bench', client_secret: 'bench-secret', grant_types: ['refresh_token', 'authorization_code', 'client_credentials'], redirect_uris: ['https://app.example/cb'], response_types: ['code'] }],
  jwks: { keys: [jwk, { ...rs, use: 'sig', alg: 'RS256', kid: 'r' }] },
  scopes: ['api', 'offline_access', 'openid'],
  features: { devInteractions: { enabled: false }, clientCredentials: { enabled: true }, introspection: { enabled: true }, revocation: { enabled: true },
    resourceIndicators: { enabled: true, defaultResource: () => 'https://api.example/', useGrantedResource: () => true,
      getResourceServerInfo: () => ({ scope: 'api', audience: 'https://api.example/', accessTokenFormat: 'jwt', accessTokenTTL: 3600, jwt: { sign: { alg } } }) } },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  ttl: { RefreshToken: 86400, Grant: 86400, AccessToken: 3600 },
});
const client = await provider.Client.find('bench');
const tokens = [];
for (let i = 0; i < Number(seeds); i++) {
  const grant = new provider.Grant({ clientId: 'bench', accountId: `person-${i}` });
  grant.addOIDCScope('offline_access'); grant.addResourceScope('https://api.example/', 'api');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({ accountId: `person-${i}`, client, grantId, gty: 'authorization_code', scope: 'offline_access api', resource: 'https://api.example/', rotations: 0, iiat: Math.floor(Date.now()/1000) });
  tokens.push(await token.save());
}
writeFileSync(file, tokens.join('\n'));
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
