// Passwords that every guessing list begins with. Runs such as "12345678" and "aaaaaaaa" are found by rule.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace quittance::users {

/// In lower case, sorted, each at least as long as a password has to be: what published breaches show year
/// after year. The list can be short because the delay after failed log-ins leaves an attacker few guesses.
inline constexpr auto common_passwords = std::to_array<std::string_view>({
    // clang-format off
    "!qaz2wsx", "0987654321", "10203040", "1020304050", "102030405060", "11112222", "11223344", "1122334455",
    "112233445566", "12121212", "123123123", "123321123", "12341234", "12344321", "123454321", "1234567890",
    "123456789a", "12345678a", "1234567a", "123456ab", "123456abc", "123456qwerty", "12345abc", "12345qwert",
    "1234abcd", "1234qwer", "123654789", "123qwe!@#", "123qwe123", "123qweasd", "13131313", "147258369",
    "147852369", "147896325", "159357258", "159753456", "19871987", "1a2b3c4d", "1q2w3e4r", "1q2w3e4r5t",
    "1q2w3e4r5t6y", "1qaz1qaz", "1qaz2wsx", "1qaz2wsx3edc", "1qazxsw2", "20202020", "31415926", "314159265",
    "3141592653", "321321321", "456456456", "5201314520", "741852963", "753951852", "789456123", "789789789",
    "963852741", "987654321a", "a1234567", "a12345678", "a123456789", "a1b2c3d4", "a1b2c3d4e5", "abc12345",
    "abc123456", "abcabc123", "abcd1234", "abracadabra", "access123", "access14", "admin123", "admin1234",
    "admin12345", "admin123456", "admin@123", "adminadmin", "administrador", "administrator", "alejandra",
    "alejandro", "alessandro", "alexander", "alexandra", "amanda12", "america1", "angel123", "angels12",
    "anthony1", "anthony123", "anything", "apple123", "arsenal1", "arsenal123", "asd123456", "asdf1234",
    "asdfasdf", "asdfghjk", "asdfghjkl", "asdfqwer", "asdqwe123", "ashley12", "ashley123", "asshole1",
    "australia", "autumn2024", "autumn2025", "azerty123", "azertyui", "azertyuiop", "babyboy1", "babygirl",
    "babygirl1", "babygirl12", "babygirl123", "bailey12", "barbie123", "barcelona", "barcelona1", "baseball",
    "baseball1", "basketball", "basketball1", "batman123", "beautiful", "beautiful1", "benjamin",
    "bestfriend", "blackberry", "blessed1", "blink182", "blueberry", "brandon1", "brooklyn", "bullshit",
    "buster12", "butterfly", "butterfly1", "california", "canada12", "caroline", "champion", "champion1",
    "changeit", "changeme", "changeme1", "changeme123", "charlie1", "charlie123", "chelsea1", "chelsea123",
    "chicago1", "chocolate", "chocolate1", "christian", "christina", "christopher", "computer", "computer1",
    "contrasena", "cookie123", "cooper12", "correcthorsebatterystaple", "corvette", "cowboys1", "cristiano",
    "crystal1", "cupcake1", "daddy123", "daniel12", "daniel123", "danielle", "danielle1", "database",
    "default1", "default123", "diamond1", "dolphins", "dragon12", "dragon123", "dragonball", "elephant",
    "elizabeth", "elizabeth1", "eminem123", "facebook", "facebook1", "family123", "fernanda", "fernando",
    "ferrari1", "football", "football1", "football12", "football123", "forever1", "forever21", "francesco",
    "freedom1", "friends1", "fuckoff1", "fuckyou1", "fuckyou123", "fuckyou2", "gabriel1", "gabriela",
    "gandalf1", "ginger12", "godisgood", "goodbye1", "goodluck", "google123", "gorgeous", "greenday",
    "guest123", "harley12", "harley123", "harrypotter", "hello123", "hello1234", "hello12345", "hellohello",
    "hellokitty", "helloworld", "hockey123", "hogwarts", "houston1", "hunter12", "hunter123", "iamthebest",
    "ilovegod", "ilovejesus", "iloveu123", "iloveyou", "iloveyou!", "iloveyou1", "iloveyou12", "iloveyou123",
    "iloveyou2", "internet", "internet1", "isabella", "jennifer", "jennifer1", "jessica1", "jessica123",
    "jesus123", "jesuschrist", "jesuslovesme", "jonathan", "jordan123", "jordan23", "joshua12", "joshua123",
    "juventus", "killer12", "killer123", "lakers24", "letmein!", "letmein1", "letmein12", "letmein123",
    "letmeinnow", "letmeinplease", "lightning", "linkedin", "liverpool", "liverpool1", "lkjhgfdsa",
    "login123", "login1234", "lordoftherings", "lovelove", "lovely123", "loveme123", "loveyou1", "madrid123",
    "maggie12", "manager1", "manchester", "manutd123", "maradona", "master123", "masterkey", "matrix123",
    "matthew1", "maverick", "mercedes", "metallica", "metallica1", "michael1", "michael123", "michelle",
    "michelle1", "microsoft", "midnight", "midnight1", "minecraft", "minecraft1", "mnbvcxz1", "mommy123",
    "monkey12", "monkey123", "moonlight", "motdepasse", "mother123", "motherfucker", "motorola", "mountain",
    "mustang1", "mypassword", "mypassword1", "myspace1", "naruto123", "nathalie", "newpassword", "newyork1",
    "nicole12", "nicole123", "nintendo", "nirvana1", "nokia123", "nopassword", "nothing1", "opensesame",
    "openup123", "oracle123", "order123", "p@ssw0rd", "p@ssw0rd1", "p@ssw0rd123", "p@ssword", "pa$$w0rd",
    "pa$$word", "pa55word", "pass1234", "pass12345", "pass123456", "passcode", "passpass", "passport",
    "passw0rd", "passw0rd1", "password", "password!", "password01", "password1", "password1!", "password12",
    "password123", "password1234", "password12345", "password123456", "password2", "password2020",
    "password2021", "password2022", "password2023", "password2024", "password2025", "password2026",
    "password3", "password7", "password9", "password99", "passwort", "passwort1", "passwort123", "patricia",
    "patriots", "payment1", "payments", "pepper12", "phoenix1", "pikachu1", "platinum", "playstation",
    "poiuytrewq", "pokemon1", "pokemon123", "porsche1", "princess", "princess1", "princess12", "princess123",
    "pussycat", "q1w2e3r4", "q1w2e3r4t5", "q1w2e3r4t5y6", "qazwsx123", "qazwsxedc", "quittance", "quittance1",
    "quittance123", "qweasdzxc", "qweqweqwe", "qwer1234", "qwerqwer", "qwerty!@#$", "qwerty1!", "qwerty12",
    "qwerty123", "qwerty123!", "qwerty1234", "qwerty12345", "qwerty123456", "qwertyui", "qwertyuiop",
    "qwertyuiop123", "qwertz123", "qwertzui", "qwertzuiop", "rainbow1", "ranger12", "rangers1", "realmadrid",
    "redskins", "robert12", "rockstar1", "rockyou1", "ronaldinho", "ronaldo7", "root1234", "rootroot",
    "samantha", "samantha1", "samsung1", "samsung123", "scorpion", "sebastian", "secret12", "secret123",
    "security", "security1", "senha123", "senha1234", "server123", "shadow12", "shadow123", "shop1234",
    "shopping", "slipknot", "sniper12", "snoopy123", "soccer12", "soccer123", "softball", "something",
    "spiderman", "spiderman1", "spring2024", "spring2025", "starlight", "startrek", "starwars", "starwars1",
    "steelers", "stephanie", "strawberry", "summer2020", "summer2021", "summer2022", "summer2023",
    "summer2024", "summer2025", "sunshine", "sunshine1", "sunshine12", "sunshine123", "superman", "superman1",
    "superman123", "support1", "sweetheart", "sweetie1", "swimming", "system32", "temp1234", "temppass",
    "test1234", "test12345", "tester123", "testing1", "testing123", "testtest", "thepassword",
    "thisisapassword", "thomas123", "thunder1", "tigger12", "tigger123", "tinkerbell", "toor1234",
    "topsecret", "trustme1", "trustno1", "user1234", "username", "valentina", "veronica", "victoria",
    "victoria1", "volleyball", "wachtwoord", "warrior1", "welcome1", "welcome1!", "welcome12", "welcome123",
    "welcome2", "welcomehome", "whatever", "whatever1", "william1", "windows1", "windows10", "winter2020",
    "winter2021", "winter2022", "winter2023", "winter2024", "winter2025", "wsxedcrfv", "xbox360!", "yamaha12",
    "yankees1", "yourpassword", "zaq12wsx", "zaq1xsw2", "zaq1zaq1", "zxcvbnm,", "zxcvbnm1", "zxcvbnm123",
    // clang-format on
});
static_assert(std::ranges::is_sorted(common_passwords));

}  // namespace quittance::users
