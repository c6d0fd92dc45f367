#include "users/tokens.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <boost/json.hpp>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"
#include "http/auth.hpp"

namespace quittance::users {

namespace json = boost::json;

namespace {

constexpr std::size_t coordinate_bytes = 32;
constexpr std::size_t max_pem_bytes = 16 * 1024;
constexpr std::size_t token_id_bytes = 16;

template <auto Free>
struct Freed {
    template <class T>
    void operator()(T* pointer) const noexcept {
        Free(pointer);
    }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using BigNumber = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;
using KeyPointer = std::shared_ptr<EVP_PKEY>;

/// Closes when it goes out of scope.
class File {
public:
    explicit File(int descriptor) : descriptor_(descriptor) {}
    ~File() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
    [[nodiscard]] int descriptor() const { return descriptor_; }

private:
    int descriptor_;
};

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string system_message() {
    return std::system_category().message(errno);
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
    ERR_clear_error();
    throw ConfigurationError(
        "the signing key " + file.string() + " " + what +
        "; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "
        "-out " +
        file.string());
}

/// Takes the place of OpenSSL's question for a pass phrase, which would wait for a terminal.
int no_pass_phrase(char*, int, int, void*) {
    return -1;
}

std::string read_pem(const std::filesystem::path& file) {
    const File input(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!input.is_open()) refuse(file, "cannot be opened (" + system_message() + ")");
    std::string pem(max_pem_bytes, '\0');
    std::size_t size = 0;
    while (size < pem.size()) {
        const ssize_t got = ::read(input.descriptor(), pem.data() + size, pem.size() - size);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) refuse(file, "cannot be read (" + system_message() + ")");
        if (got == 0) break;
        size += static_cast<std::size_t>(got);
    }
    pem.resize(size);
    return pem;
}

KeyPointer parse_pem(std::string pem, const std::filesystem::path& file) {
    const Bio input(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    KeyPointer key(PEM_read_bio_PrivateKey(input.get(), nullptr, no_pass_phrase, nullptr), EVP_PKEY_free);
    OPENSSL_cleanse(pem.data(), pem.size());
    if (!key) refuse(file, "is not an unencrypted private key in PEM");
    std::array<char, 32> group{};
    if (EVP_PKEY_is_a(key.get(), "EC") != 1 ||
        EVP_PKEY_get_group_name(key.get(), group.data(), group.size(), nullptr) != 1 ||
        std::string_view(group.data()) != "prime256v1") {
        refuse(file, "is not a key on the curve P-256");
    }
    return key;
}

std::string coordinate(const EVP_PKEY* key, const char* name) {
    BIGNUM* number = nullptr;
    ensure(EVP_PKEY_get_bn_param(key, name, &number) == 1, "an EC key has a public point");
    const BigNumber owner(number);
    std::array<std::byte, coordinate_bytes> bytes{};
    BN_bn2binpad(number, reinterpret_cast<unsigned char*>(bytes.data()), coordinate_bytes);
    return to_base64url(bytes);
}

/// RFC 7638 section 3: SHA-256 over the required members, in alphabetical order, without white space.
std::string thumbprint(const std::string& x, const std::string& y) {
    const std::string canonical = R"({"crv":"P-256","kty":"EC","x":")" + x + R"(","y":")" + y + "\"}";
    std::array<std::byte, 32> digest{};
    ensure(EVP_Digest(canonical.data(), canonical.size(), reinterpret_cast<unsigned char*>(digest.data()),
                      nullptr, EVP_sha256(), nullptr) == 1,
           "SHA-256 is available");
    return to_base64url(digest);
}

std::string make_pem() {
    const KeyPointer key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    const Bio output(BIO_new(BIO_s_secmem()));
    ensure(key && output &&
               PEM_write_bio_PKCS8PrivateKey(output.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                             nullptr) == 1,
           "OpenSSL can make a P-256 key");
    char* text = nullptr;
    const long size = BIO_get_mem_data(output.get(), &text);
    return {text, static_cast<std::size_t>(size)};
}

void write_all(const File& output, std::string_view text, const std::filesystem::path& file) {
    while (!text.empty()) {
        const ssize_t written = ::write(output.descriptor(), text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) refuse(file, "cannot be written (" + system_message() + ")");
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

/// Writes beside the file and links it into place: unlike a rename, a link never replaces the key that
/// another program has put there meanwhile.
void create_if_missing(const std::filesystem::path& file) {
    const std::filesystem::path draft = file.string() + "." + std::to_string(::getpid()) + ".new";
    {
        ::unlink(draft.c_str());
        const File output(::open(draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
        if (!output.is_open()) refuse(file, "cannot be created (" + system_message() + ")");
        std::string pem = make_pem();
        write_all(output, pem, draft);
        OPENSSL_cleanse(pem.data(), pem.size());
        if (::fsync(output.descriptor()) != 0) refuse(file, "cannot be written (" + system_message() + ")");
    }
    const bool linked = ::link(draft.c_str(), file.c_str()) == 0;
    const int reason = errno;
    ::unlink(draft.c_str());
    if (!linked && reason != EEXIST) {
        refuse(file, "cannot be created (" + std::system_category().message(reason) + ")");
    }
    const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
    const File entry(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (entry.is_open()) ::fsync(entry.descriptor());
}

std::string make_header(const std::vector<SigningKey>& keys) {
    if (keys.empty()) throw ConfigurationError("there is no key to sign tokens with");
    return to_base64url(bytes_of(json::serialize(
        json::object{{"alg", "ES256"}, {"typ", http::access_token_type}, {"kid", keys.front().kid()}})));
}

std::string make_jwks(const std::vector<SigningKey>& keys) {
    std::string list;
    for (const SigningKey& key : keys) {
        if (!list.empty()) list += ',';
        list += key.public_jwk();
    }
    return "{\"keys\":[" + list + "]}";
}

}  // namespace

SigningKey::SigningKey(KeyPointer key, const std::filesystem::path& file)
    : key_(std::move(key)),
      x_(coordinate(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X)),
      y_(coordinate(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y)),
      kid_(thumbprint(x_, y_)) {
    // A file can hold a private and a public half that do not belong together.
    const auto public_half = http::PublicKey::from_jwk(json::parse(public_jwk()).as_object());
    static constexpr std::string_view probe = "probe";
    if (!public_half) refuse(file, "has no valid public half");
    const std::string signature = sign(probe);
    if (!public_half->verifies(probe, signature)) refuse(file, "has halves that do not belong together");
}

SigningKey SigningKey::load(const std::filesystem::path& file) {
    return {parse_pem(read_pem(file), file), file};
}

SigningKey SigningKey::load_or_create(const std::filesystem::path& file) {
    std::error_code unknown;
    if (!std::filesystem::exists(file, unknown)) create_if_missing(file);
    return load(file);
}

std::string SigningKey::public_jwk() const {
    return json::serialize(json::object{{"kty", "EC"},
                                        {"crv", "P-256"},
                                        {"x", x_},
                                        {"y", y_},
                                        {"kid", kid_},
                                        {"use", "sig"},
                                        {"alg", "ES256"}});
}

std::string SigningKey::sign(std::string_view text) const {
    const DigestContext context(EVP_MD_CTX_new());
    std::array<unsigned char, 128> der{};
    std::size_t size = der.size();
    ensure(context && EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
               EVP_DigestSign(context.get(), der.data(), &size,
                              reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1,
           "a P-256 key can sign");
    const unsigned char* start = der.data();
    const EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &start, static_cast<long>(size)));
    ensure(signature != nullptr, "OpenSSL reads its own signatures");
    std::string raw(2 * coordinate_bytes, '\0');
    auto* bytes = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), bytes, coordinate_bytes);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), bytes + coordinate_bytes, coordinate_bytes);
    return raw;
}

TokenIssuer::TokenIssuer(std::vector<SigningKey> keys, TokenNames names, const Clock& clock, Random& random)
    : keys_(std::move(keys)),
      names_(std::move(names)),
      clock_(clock),
      random_(random),
      header_(make_header(keys_)),
      jwks_(make_jwks(keys_)) {}

std::string TokenIssuer::issue(const Principal& principal) const {
    const auto now = std::chrono::floor<std::chrono::seconds>(clock_.now());
    const std::int64_t issued_at_s = now.time_since_epoch().count();
    const std::int64_t expires_at_s = (now + access_token_lifetime).time_since_epoch().count();
    const std::string claims = json::serialize(json::object{{"iss", names_.issuer},
                                                            {"aud", names_.audience},
                                                            {"sub", principal.user_id.to_string()},
                                                            {"role", to_string(principal.role)},
                                                            {"iat", issued_at_s},
                                                            {"nbf", issued_at_s},
                                                            {"exp", expires_at_s},
                                                            {"jti", random_.token(token_id_bytes)}});
    std::string token = header_ + "." + to_base64url(bytes_of(claims));
    token += "." + to_base64url(bytes_of(keys_.front().sign(token)));
    return token;
}

}  // namespace quittance::users
